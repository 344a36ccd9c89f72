"""T5 and UMT5 as families use them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from safelight.models.text.chunks import Window, groups
from safelight.models.text.embeddings import find_embedding
from safelight.models.text.recipe import Encoding
from safelight.models.text.t5 import T5Encoder, t5_shape
from safelight.models.text.whole_prompt import SpecialTokens, embedded_row, is_weighted, padding_of, weighed
from safelight.models.tokenizers.finding import tokenizer_of
from safelight.models.tokenizers.json_file import t5
from safelight.models.tokenizers.sentence_pieces import umt5
from safelight.models.weights import Weights

SPECIAL = SpecialTokens(pad=0, end=1)


@dataclass(frozen=True, slots=True)
class T5Recipe:
    """Implements :class:`safelight.models.text.recipe.EncoderRecipe`. ``least``: the length that prompts are padded to.
    ``is_masked``: whether padding is hidden from attention, and the mask is part of the conditioning;
    ``zeroes_padding``: whether its outputs are set to zero, and the mask is not needed."""

    kind: Literal["t5xxl", "umt5xxl"] = "t5xxl"
    least: int = 256
    is_masked: bool = False
    zeroes_padding: bool = False
    overflows_half: bool = True
    ends_empty: bool = True
    """Whether the empty prompt, which weights are relative to, has an end token; otherwise it is only padding."""

    def build(self, weights: Weights) -> T5Encoder:
        return T5Encoder(t5_shape(weights.shapes))

    def tokenize(self, text: str, weights: Weights, options: Mapping[str, Any]) -> list[Window]:
        width = weights.shapes["shared.weight"][1]
        tokenizer = tokenizer_of(weights, title="T5", otherwise=t5 if self.kind == "t5xxl" else umt5)
        found = groups(text, tokenizer.encode, lambda name: find_embedding(name, encoder=self.kind, width=width))
        return [SPECIAL.window(found, **padding_of(options, self.kind, self.least))]

    def encode(
        self, module: nn.Module, windows: Sequence[Window], *, layer: int | None, device: torch.device
    ) -> Encoding:
        assert isinstance(module, T5Encoder)
        chosen = -1 if layer is None else layer
        encoded = [self._encoded(module, window, chosen, device) for window in windows]
        hidden = torch.cat([hidden for hidden, _ in encoded], dim=1)
        mask = torch.cat([mask for _, mask in encoded], dim=1)
        return Encoding(hidden, mask=mask if self.is_masked and not self.zeroes_padding else None)

    def _encoded(
        self, module: T5Encoder, window: Window, layer: int, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, mask = self._row(module, window, layer, device)
        if is_weighted(window):
            special = SPECIAL if self.ends_empty else replace(SPECIAL, end=None)
            hidden = weighed(hidden, self._row(module, special.empty(len(window)), layer, device)[0], window)
        return hidden, mask

    def _row(
        self, module: T5Encoder, window: Window, layer: int, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = [token for token, _ in window]
        mask = torch.tensor([SPECIAL.mask(tokens)])
        embeddings = embedded_row(module, tokens, device)
        hidden = module(embeddings, mask if self.is_masked else None, layer=layer).float().cpu()
        return hidden * mask[..., None] if self.zeroes_padding else hidden, mask
