"""CLIP's text encoders as families use them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from safelight.models.clip_layer import Activation
from safelight.models.text.chunks import Window, empty_window, windows
from safelight.models.text.embeddings import find_embedding
from safelight.models.text.encoder_module import ClipText, Encoded, text_shape
from safelight.models.text.recipe import Encoding
from safelight.models.text.tokenizer import END
from safelight.models.weights import Weights


@dataclass(frozen=True, slots=True)
class ClipRecipe:
    """Implements :class:`safelight.models.text.recipe.EncoderRecipe`. ``letter``: of textual inversions. ``layer``:
    counted from the end, the last is -1. ``normalises``: apply the final norm to that layer's output. ``projects``:
    apply the projection to the pooled output, if the file has one."""

    heads: int
    activation: Activation
    pad: int
    layer: int
    normalises: bool
    letter: Literal["l", "g", "h"] = "l"
    projects: bool = True
    overflows_half: bool = False

    @property
    def kind(self) -> str:
        return f"clip_{self.letter}"

    def build(self, weights: Weights) -> ClipText:
        return ClipText(text_shape(weights.shapes), heads=self.heads, activation=self.activation)

    def tokenize(self, text: str, weights: Weights, options: Mapping[str, Any]) -> list[Window]:
        """Windows of as many tokens as the encoder has positions for: 77, or 248 (LongCLIP, Zhang et al. 2024)."""
        width = weights.shapes["text_model.embeddings.token_embedding.weight"][1]
        return windows(
            text,
            pad=self.pad,
            find_embedding=lambda name: find_embedding(name, encoder=self.letter, width=width),
            length=weights.shapes["text_model.embeddings.position_embedding.weight"][0],
        )

    def encode(
        self, module: nn.Module, windows: Sequence[Window], *, layer: int | None, device: torch.device
    ) -> Encoding:
        """Weights scale the distance of a token's output from that of an empty prompt, which is encoded along with the
        windows."""
        assert isinstance(module, ClipText)
        weights = torch.tensor([[weight for _, weight in window] for window in windows])
        is_weighted = bool((weights != 1.0).any())
        rows = [*windows, empty_window(self.pad, length=len(windows[0]))] if is_weighted else windows
        encoded = module(_embedded(module, rows, device))
        hidden = self._selected_layer(module, encoded, layer).float().cpu()
        if is_weighted:
            empty, hidden = hidden[-1:], hidden[:-1]
            hidden = (hidden - empty) * weights[..., None] + empty
        first_end = next(index for index, (token, _) in enumerate(windows[0]) if _is_token(token, END))
        pooled = encoded.final[:1, first_end]
        if self.projects:
            pooled = module.projected(pooled)
        return Encoding(hidden.flatten(0, 1)[None], pooled.float().cpu())

    def _selected_layer(self, module: ClipText, encoded: Encoded, chosen: int | None) -> torch.Tensor:
        layer = chosen if chosen is not None else self.layer
        if abs(layer) > len(encoded.layers) - 1:
            return encoded.final
        hidden = encoded.layers[layer]
        return module.normalised(hidden) if self.normalises else hidden


CLIP_L = ClipRecipe(heads=12, activation="quick_gelu", pad=END, layer=-1, normalises=True)
"""OpenAI's ViT-L/14, as SD1 uses it."""
CLIP_L_POOLED = replace(CLIP_L, projects=False)
"""The same encoder where only its pooled output is used, without the projection."""
CLIP_L_PENULTIMATE = ClipRecipe(heads=12, activation="quick_gelu", pad=END, layer=-2, normalises=False)
"""The same encoder, as SDXL uses it."""
CLIP_H = ClipRecipe(heads=16, activation="gelu", pad=0, layer=-2, normalises=True, letter="h")
"""OpenCLIP's ViT-H/14, as SD2 uses it."""
CLIP_G_PENULTIMATE = ClipRecipe(heads=20, activation="gelu", pad=0, layer=-2, normalises=False, letter="g")
"""OpenCLIP's ViT-bigG/14, as SDXL uses it."""


def _embedded(module: ClipText, rows: Sequence[Window], device: torch.device) -> torch.Tensor:
    numbers = torch.tensor([[token if isinstance(token, int) else 0 for token, _ in row] for row in rows])
    embedded = module.embedded(numbers.to(device))
    for row, window in enumerate(rows):
        for column, (token, _) in enumerate(window):
            if isinstance(token, torch.Tensor):
                embedded[row, column] = token.to(embedded)
    return embedded


def _is_token(token: Any, number: int) -> bool:
    return isinstance(token, int) and token == number
