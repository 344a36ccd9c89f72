"""Miniature weights of Chroma."""

from safelight.models.families.chroma.chroma_module import Chroma, ChromaShape
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import AE, T5, WIDTH
from safelight.models.transformer.streams import StreamShape

CHROMA = ChromaShape(
    StreamShape(width=256, heads=2, inner=512, modulates=False),
    channels=16,
    context=WIDTH,
    double_blocks=2,
    single_blocks=2,
    approximator_width=256,
    approximator_layers=2,
)

MINIATURES = (
    Miniature(
        "chroma",
        (
            MiniatureFile(
                "diffusion_models", "Chroma1-HD-fp8mixed.safetensors", lambda: Chroma(CHROMA), format="fp8_scaled"
            ),
            MiniatureFile("diffusion_models", "Chroma1-HD.safetensors", lambda: Chroma(CHROMA)),
            *T5,
            AE,
        ),
    ),
)
