"""How text encoders are read: which layer counts, what fills a window up, where the pooled output comes from."""

from collections.abc import Mapping
from dataclasses import dataclass

from safelight.models.clip_layer import Activation
from safelight.models.text.tokenizer import END


@dataclass(frozen=True, slots=True)
class EncoderRecipe:
    """``layer``: counted from the end, the last is -1. ``normalises``: the final norm stands behind it, whichever."""

    heads: int
    activation: Activation
    pad: int
    layer: int
    normalises: bool


@dataclass(frozen=True)
class TextRecipe:
    """Encoders by the letter under which tokens and LoRA files name them. Their conditions are put side by side,
    feature by feature; the pooled output is that of the last."""

    encoders: Mapping[str, EncoderRecipe]


CLIP_L = EncoderRecipe(heads=12, activation="quick_gelu", pad=END, layer=-1, normalises=True)
"""OpenAI's ViT-L/14, as SD1 reads it."""
CLIP_L_LAST_BUT_ONE = EncoderRecipe(heads=12, activation="quick_gelu", pad=END, layer=-2, normalises=False)
"""The same, as SDXL reads it."""
CLIP_H = EncoderRecipe(heads=16, activation="gelu", pad=0, layer=-2, normalises=True)
"""OpenCLIP's ViT-H/14, as SD2 reads it."""
CLIP_G_LAST_BUT_ONE = EncoderRecipe(heads=20, activation="gelu", pad=0, layer=-2, normalises=False)
"""OpenCLIP's ViT-bigG/14, as SDXL reads it."""
MINIATURE_TEXT = EncoderRecipe(heads=4, activation="gelu", pad=END, layer=-1, normalises=True)
"""Of the bundled model."""
