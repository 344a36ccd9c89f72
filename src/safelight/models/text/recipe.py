"""How text encoders are used: which layer is read, how windows are padded, where the pooled output comes from."""

from collections.abc import Mapping
from dataclasses import dataclass

from safelight.models.clip_layer import Activation
from safelight.models.text.tokenizer import END


@dataclass(frozen=True, slots=True)
class EncoderRecipe:
    """``layer``: counted from the end, the last is -1. ``normalises``: apply the final norm to that layer's output."""

    heads: int
    activation: Activation
    pad: int
    layer: int
    normalises: bool


@dataclass(frozen=True)
class TextRecipe:
    """Encoders by the letter that tokens and LoRA files use. Their embeddings are concatenated along the features; the
    pooled output is that of the last one."""

    encoders: Mapping[str, EncoderRecipe]


CLIP_L = EncoderRecipe(heads=12, activation="quick_gelu", pad=END, layer=-1, normalises=True)
"""OpenAI's ViT-L/14, as SD1 uses it."""
CLIP_L_PENULTIMATE = EncoderRecipe(heads=12, activation="quick_gelu", pad=END, layer=-2, normalises=False)
"""The same encoder, as SDXL uses it."""
CLIP_H = EncoderRecipe(heads=16, activation="gelu", pad=0, layer=-2, normalises=True)
"""OpenCLIP's ViT-H/14, as SD2 uses it."""
CLIP_G_PENULTIMATE = EncoderRecipe(heads=20, activation="gelu", pad=0, layer=-2, normalises=False)
"""OpenCLIP's ViT-bigG/14, as SDXL uses it."""
MINIATURE_TEXT = EncoderRecipe(heads=4, activation="gelu", pad=END, layer=-1, normalises=True)
"""The encoder of the bundled model."""
