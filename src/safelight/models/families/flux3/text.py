"""Qwen3-VL 4B as FLUX.3's text encoder: eight of its states, of a prompt that is filled up to whole rows of 80 tokens.
What fills it up is not masked for the network, and was seen by nothing in the text encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.language.architecture import QWEN3_VL
from safelight.models.language.picture_recipe import PictureRecipe
from safelight.models.language.recipe import QWEN_TOKENS, EmbeddedPrompt
from safelight.models.text.chunks import Window
from safelight.models.text.recipe import TextRecipe
from safelight.models.tokenizers.byte_pairs import qwen
from safelight.models.vision_tower.qwen3 import QWEN3_TOWER
from safelight.models.weights import Weights

STATES = (4, 8, 12, 16, 20, 24, 28, 32)
ROW = 80
_FILLING_AT = 1
"""The position of the tokens that fill up."""


@dataclass(frozen=True)
class FilledRecipe(PictureRecipe):
    def tokenize(self, text: str, weights: Weights, options: Mapping[str, Any]) -> list[Window]:
        (window,) = super().tokenize(text, weights, options)
        return [window + [(self.special.pad, 1.0)] * (-len(window) % ROW)]

    def embeddings(self, module: Any, tokens: Sequence[Any], device: torch.device) -> EmbeddedPrompt:
        prompt = super().embeddings(module, tokens, device)
        counted = torch.arange(prompt.embeddings.shape[1]) if prompt.positions is None else prompt.positions.cpu()
        positions = torch.where(prompt.mask[0].bool(), counted, _FILLING_AT)
        return EmbeddedPrompt(prompt.embeddings, prompt.mask, positions.to(device), prompt.pictures, prompt.added)


FLUX3_TEXT = TextRecipe(
    {
        "qwen3vl_4b": FilledRecipe(
            "qwen3_vl",
            "Qwen3-VL",
            QWEN3_VL,
            QWEN_TOKENS,
            vocabulary=qwen,
            tower=QWEN3_TOWER,
            template="<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
            states=STATES,
        )
    },
    types=("flux3",),
    title="FLUX.3",
)
