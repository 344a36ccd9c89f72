"""The text encoders of HunyuanVideo 1.5: Qwen2.5-VL, whose third state from the end conditions, and byT5 for the
texts that a video shows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from safelight.models.families.hunyuan_video.glyphs import GlyphRecipe
from safelight.models.families.qwen_image.text import instructions
from safelight.models.language.architecture import QWEN25_VL
from safelight.models.language.picture_recipe import PictureRecipe
from safelight.models.language.recipe import QWEN_TOKENS
from safelight.models.text.chunks import Window
from safelight.models.text.recipe import Encoding, TextRecipe
from safelight.models.tokenizers.byte_pairs import qwen
from safelight.models.weights import Weights

TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant. Describe the video by detailing the following aspects:\n"
    "1. The main content and theme of the video.\n"
    "2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects.\n"
    "3. Actions, events, behaviors temporal relationships, physical movement changes of the objects.\n"
    "4. background environment, light, style and atmosphere.\n"
    "5. camera angles, movements, and transitions used in the video.<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
"""The instructions that the network was trained with."""


@dataclass(frozen=True)
class VideoPromptRecipe(PictureRecipe):
    """An empty prompt is a space."""

    def tokenize(self, text: str, weights: Weights, options: Mapping[str, Any]) -> list[Window]:
        return super().tokenize(text or " ", weights, options)


def _with_glyphs(encodings: Mapping[str, Encoding]) -> Encoding:
    text, glyphs = encodings["qwen25_7b"], encodings.get("byt5")
    if glyphs is None or not glyphs.hidden.shape[1]:
        return text
    return replace(text, options={**text.options, "conditioning_byt5small": glyphs.hidden})


HUNYUAN_VIDEO_TEXT = TextRecipe(
    {
        "qwen25_7b": VideoPromptRecipe(
            "qwen25_vl",
            "Qwen2.5-VL",
            QWEN25_VL,
            QWEN_TOKENS,
            template=TEMPLATE,
            states=(-3,),
            prefix=instructions,
            keeps_full_mask=False,
            vocabulary=qwen,
        ),
        "byt5": GlyphRecipe(),
    },
    join=_with_glyphs,
    types=("hunyuan_video_15",),
    optional=frozenset({"byt5"}),
    prefixes={
        "qwen25_7b": ("text_encoders.qwen25_7b.transformer.",),
        "byt5": ("text_encoders.byt5_small.transformer.",),
    },
    title="HunyuanVideo 1.5",
)
