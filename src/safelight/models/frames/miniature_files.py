"""Miniature weights of FILM."""

from safelight.models.frames.film_module import Film, FilmShape
from safelight.models.miniatures.file import Miniature, MiniatureFile

SHAPE = FilmShape(filters=4, depth=4, flows=((1, 4), (1, 4), (1, 8), (1, 8)))

MINIATURES = (
    Miniature(
        "film", (MiniatureFile("frame_interpolation", "film_net_fp16.safetensors", lambda: Film(SHAPE), format="fp32"),)
    ),
)
