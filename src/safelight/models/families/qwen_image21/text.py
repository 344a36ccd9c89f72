"""Qwen3-VL 8B as Qwen-Image 2.1's text encoder: the output of its last layer before the final norm, from the user's
message on. Where it sees pictures is part of the conditioning."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from safelight.models.language.question_recipe import QWEN3_VL_RECIPE
from safelight.models.text.recipe import TextRecipe

_SYSTEM = "<|im_start|>system\nComprehend and analyze the provided prompt.<|im_end|>\n"
TEMPLATE = f"{_SYSTEM}<|im_start|>user\n{{}}<|im_end|>\n<|im_start|>assistant\n"
_START = 151644
"""``<|im_start|>``."""


def pictures(count: int) -> str:
    """What stands before a prompt about so many pictures."""
    seen = "<|vision_start|><|image_pad|><|vision_end|>"
    return " ".join(f"<image{number}>{seen}" for number in range(1, count + 1))


def system_message(tokens: Sequence[Any]) -> int:
    """How many tokens come before the user's message."""
    starts = [index for index, token in enumerate(tokens) if isinstance(token, int) and token == _START]
    return starts[1] if len(starts) > 1 else 0


QWEN_IMAGE21_TEXT = TextRecipe(
    {
        "qwen3vl_8b": replace(
            QWEN3_VL_RECIPE,
            picture_template=TEMPLATE,
            template=TEMPLATE,
            states=(-1,),
            prefix=system_message,
            keeps_full_mask=False,
            marks_pictures=True,
        )
    },
    types=("qwen_image",),
    title="Qwen-Image 2.1",
)
