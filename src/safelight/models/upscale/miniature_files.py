"""Miniature weights of upscaling models."""

from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.upscale.upscaler_module import DenseNetwork, DenseShape

_FOUR_TIMES = DenseShape(channels=3, out=3, features=16, growth=8, blocks=1, ups=2, unshuffle=1)

MINIATURES = (
    Miniature(
        "esrgan",
        (
            MiniatureFile(
                "upscale_models", "RealESRGAN_x4plus.safetensors", lambda: DenseNetwork(_FOUR_TIMES), format="fp32"
            ),
        ),
    ),
)
