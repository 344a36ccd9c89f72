"""Miniature weights of Krea 2."""

from safelight.models.families.krea2.network import BlockShape, Krea2, Krea2Shape
from safelight.models.families.qwen_image.miniature_files import VAE
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import WIDTH, Lora, qwen3_vl

NETWORK = Krea2Shape(
    channels=16,
    block=BlockShape(width=256, heads=2, key_heads=1, feed_forward=512),
    text=BlockShape(width=WIDTH, heads=2, key_heads=2, feed_forward=256),
    layers=2,
    text_layers=12,
    fusing=1,
    refining=1,
)
_LAYERS = 36
"""Of the text encoder, from which the network takes certain ones."""


def _network(name: str, format: str) -> MiniatureFile:
    return MiniatureFile("diffusion_models", name, lambda: Krea2(NETWORK), format=format)


_TEXT = MiniatureFile(
    "text_encoders",
    "qwen3vl_4b_fp8_scaled.safetensors",
    lambda: qwen3_vl(layers=_LAYERS),
    format="fp8_scaled",
)

_LORAS = tuple(
    MiniatureFile("loras", f"{name}.safetensors", lambda: Lora(Krea2(NETWORK), below="blocks."))
    for name in ("krea2_darkbrush", "krea2_style_reference")
)

MINIATURES = (
    Miniature("krea2-turbo", (_network("krea2_turbo_fp8_scaled.safetensors", "fp8_scaled"), _TEXT, VAE, *_LORAS)),
    Miniature(
        "krea2-turbo-int8", (_network("krea2_turbo_int8_convrot.safetensors", "int8_convrot"), _TEXT, VAE, *_LORAS)
    ),
)
