"""Qwen2.5-VL as Qwen-Image's text encoder: the last state of the prompt, without the instructions before it, and with
pictures in the prompt for the editors."""

from collections.abc import Sequence
from typing import Any

from safelight.models.language.architecture import QWEN25_VL
from safelight.models.language.picture_recipe import PictureRecipe
from safelight.models.language.recipe import QWEN_TOKENS
from safelight.models.text.recipe import TextRecipe
from safelight.models.tokenizers.byte_pairs import qwen

_SYSTEM, _USER = "<|im_start|>system\n", "<|im_end|>\n<|im_start|>user\n"
_END = "{}<|im_end|>\n<|im_start|>assistant\n"
_DESCRIBE = (
    "Describe the image by detailing the color, shape, size, texture, quantity, text, spatial relationships of the "
    "objects and background:"
)
_EDIT = (
    "Describe the key features of the input image (color, shape, size, texture, objects, background), then explain how "
    "the user's text instruction should alter or modify the image. Generate a new image that meets the user's "
    "requirements while maintaining consistency with the original input where appropriate."
)
TEMPLATE = f"{_SYSTEM}{_DESCRIBE}{_USER}{_END}"
EDIT_TEMPLATE = f"{_SYSTEM}{_EDIT}{_USER}{_END}"
"""For prompts that name their pictures themselves."""
PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"

_START, _NAME, _NEWLINE = 151644, 872, 198
"""``<|im_start|>``, ``user``, a line break."""


def instructions(tokens: Sequence[Any]) -> int:
    """How many tokens come before the user's text: up to the second start of a message and its heading."""
    starts = [index for index, token in enumerate(tokens) if isinstance(token, int) and token == _START][:2]
    if not starts:
        return 0
    end = starts[-1]
    has_heading = list(tokens[end + 1 : end + 3]) == [_NAME, _NEWLINE] and len(tokens) > end + 3
    return end + 3 if has_heading else end


QWEN_IMAGE_TEXT = TextRecipe(
    {
        "qwen25_7b": PictureRecipe(
            "qwen25_vl",
            "Qwen2.5-VL",
            QWEN25_VL,
            QWEN_TOKENS,
            template=TEMPLATE,
            prefix=instructions,
            keeps_full_mask=False,
            vocabulary=qwen,
            picture_template=f"{_SYSTEM}{_EDIT}{_USER}{PICTURE}{_END}",
        )
    },
    types=("qwen_image",),
    prefixes={"qwen25_7b": ("text_encoders.qwen25_7b.transformer.",)},
    title="Qwen-Image",
)
