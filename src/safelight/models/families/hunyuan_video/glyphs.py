"""byT5 (Xue et al. 2022), which reads the texts in quotes of a prompt byte by byte, so that the video can show them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from safelight.models.text.chunks import Window, groups
from safelight.models.text.recipe import Encoding
from safelight.models.text.t5 import T5Encoder, t5_shape
from safelight.models.text.t5_recipe import SPECIAL, T5Recipe
from safelight.models.text.whole_prompt import padding_of
from safelight.models.weights import Weights

OFFSET = 3
"""The token of byte 0."""
_QUOTED = (re.compile(r'"(.*?)"'), re.compile("\N{LEFT SINGLE QUOTATION MARK}(.*?)\N{RIGHT SINGLE QUOTATION MARK}"))
_QUOTED_CHINESE = re.compile("\N{LEFT DOUBLE QUOTATION MARK}(.*?)\N{RIGHT DOUBLE QUOTATION MARK}")


def byte_tokens(text: str) -> list[int]:
    return [OFFSET + byte for byte in text.encode()]


def shown_texts(prompt: str) -> list[str]:
    """The texts in quotes."""
    return [text for pattern in (*_QUOTED, _QUOTED_CHINESE) for text in pattern.findall(prompt)]


@dataclass(frozen=True)
class GlyphRecipe:
    """Implements :class:`safelight.models.text.recipe.EncoderRecipe`. A prompt without quotes has no windows, and its
    encoding no tokens."""

    kind: str = "byt5"
    overflows_half: bool = True

    def build(self, weights: Weights) -> T5Encoder:
        return T5Encoder(t5_shape(weights.shapes))

    def tokenize(self, text: str, weights: Weights, options: Mapping[str, Any]) -> list[Window]:
        if not (shown := shown_texts(text)):
            return []
        found = groups("".join(f'Text "{one}". ' for one in shown), byte_tokens, None)
        return [SPECIAL.window(found, **padding_of(options, "byt5_small", 1))]

    def encode(
        self, module: nn.Module, windows: Sequence[Window], *, layer: int | None, device: torch.device
    ) -> Encoding:
        assert isinstance(module, T5Encoder)
        if not windows:
            return Encoding(torch.zeros(1, 0, module.shared.weight.shape[1]))
        return T5Recipe(least=1, is_masked=True, zeroes_padding=True).encode(
            module, windows, layer=layer, device=device
        )
