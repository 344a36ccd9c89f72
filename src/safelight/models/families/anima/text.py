"""Anima's text: the states of Qwen3 0.6B, and the prompt once more as tokens of T5, whose network is not needed.
Weights of a prompt act on the tokens of T5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from safelight.models.language.architecture import QWEN3
from safelight.models.language.recipe import LanguageRecipe
from safelight.models.text.chunks import Window, groups
from safelight.models.text.recipe import Encoding, TextRecipe
from safelight.models.text.t5_recipe import SPECIAL as T5_TOKENS
from safelight.models.text.whole_prompt import padding_of
from safelight.models.tokenizers.byte_pairs import qwen
from safelight.models.tokenizers.json_file import t5
from safelight.models.weights import Weights


@dataclass(frozen=True)
class TokensBeside(LanguageRecipe):
    """The first window is the language model's, the second that of T5, whose tokens and weights become options."""

    def tokenize(self, text: str, weights: Weights, options: Mapping[str, Any]) -> list[Window]:
        (own,) = super().tokenize(text, weights, options)
        found = groups(text, t5().encode, None)
        return [[(token, 1.0) for token, _ in own], T5_TOKENS.window(found, **padding_of(options, "t5xxl", 1))]

    def encode(
        self, module: nn.Module, windows: Sequence[Window], *, layer: int | None, device: torch.device
    ) -> Encoding:
        own, beside = windows
        encoding = super().encode(module, [own], layer=layer, device=device)
        more = {
            "t5xxl_ids": torch.tensor([token for token, _ in beside]),
            "t5xxl_weights": torch.tensor([weight for _, weight in beside]),
        }
        return replace(encoding, options=more)


ANIMA_TEXT = TextRecipe(
    {"qwen3_06b": TokensBeside("qwen3", "Qwen3", QWEN3, is_weighted=True, vocabulary=qwen)},
    types=("stable_diffusion",),
    title="Anima",
)
