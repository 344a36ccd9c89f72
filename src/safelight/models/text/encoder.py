"""The value on ``CLIP`` links: text encoders. Some of its methods have the names that node packs call."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.text.chunks import Window, empty_window, windows
from safelight.models.text.embeddings import find_embedding
from safelight.models.text.encoder_module import ClipText, Encoded, text_shape
from safelight.models.text.recipe import EncoderRecipe, TextRecipe
from safelight.models.text.tokenizer import END
from safelight.models.weight_hooks import HookGroup
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import Weights

Tokens = Mapping[str, list[Window]]
"""By the encoder's letter, windows of ``(token, weight)``."""


@dataclass(frozen=True)
class TextEncoder:
    """``weights`` of each encoder are below ``clip_<letter>.``. ``layer``: counted from the end, if a node chose one
    for all encoders."""

    weights: Weights
    recipe: TextRecipe
    layers: tuple[WeightLayer, ...] = ()
    layer: int | None = None
    hooks: HookGroup | None = None
    """``hooks_conditions``: set the hooks on the conditioning as well. ``follows_keyframes``: encode once for each
    keyframe."""
    hooks_conditions: bool = False
    follows_keyframes: bool = False

    @property
    def shapes(self) -> Mapping[str, torch.Size]:
        return self.weights.shapes

    def with_layers(self, *layers: WeightLayer) -> "TextEncoder":
        return replace(self, layers=(*self.layers, *layers))

    def with_layer(self, layer: int) -> "TextEncoder":
        return replace(self, layer=layer)

    def under_hooks(self, progress: float | None) -> "TextEncoder":
        """The encoder with its hooks as layers, at a point of sampling (0..1); ``None`` ignores their keyframes."""
        if self.hooks is None:
            return self
        layers = self.hooks.text_layers(self.shapes, progress=progress)
        return replace(self, hooks=None, layers=(*self.layers, *layers))

    def tokenize(self, text: str, **_: Any) -> dict[str, list[Window]]:
        return {letter: self.tokenize_for(letter, text) for letter in self.recipe.encoders}

    def tokenize_for(self, letter: str, text: str) -> list[Window]:
        """Windows for a single encoder."""
        width = self.weights.shapes[f"clip_{letter}.text_model.embeddings.token_embedding.weight"][1]
        return windows(
            text,
            pad=self.recipe.encoders[letter].pad,
            find_embedding=lambda name: find_embedding(name, encoder=letter, width=width),
        )

    def encode(self, tokens: Tokens) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings ``[1, 77 * windows, features]`` and pooled output ``[1, features]``, float32 on the CPU."""
        if self.hooks is not None:
            return self.under_hooks(None).encode(tokens)
        device = compute_device()
        with self._module(device) as module, torch.inference_mode():
            encoded = [
                self._encode(module[f"clip_{letter}"], recipe, tokens[letter], device)
                for letter, recipe in self.recipe.encoders.items()
                if letter in tokens
            ]
        length = min(condition.shape[1] for condition, _ in encoded)
        conditions = torch.cat([condition[:, :length] for condition, _ in encoded], dim=-1)
        return conditions, encoded[-1][1]

    def encode_from_tokens(
        self, tokens: Tokens, return_pooled: bool = False, return_dict: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor] | dict[str, torch.Tensor]:
        condition, pooled = self.encode(tokens)
        if return_dict:
            return {"cond": condition, "pooled_output": pooled}
        return (condition, pooled) if return_pooled else condition

    def encode_from_tokens_scheduled(
        self, tokens: Tokens, unprojected: bool = False, add_dict: Mapping[str, Any] | None = None, **_: Any
    ) -> list[list[Any]]:
        """The conditioning of the tokens."""
        more = dict(add_dict or {})
        if self.hooks is not None and self.hooks_conditions:
            more["hooks"] = self.hooks
        if self.hooks is None or not self.follows_keyframes:
            condition, pooled = self.encode(tokens)
            return [[condition, {"pooled_output": pooled, **more}]]
        made = []
        starts = self.hooks.starts()
        for start, end in zip(starts, [*starts[1:], 1.0], strict=True):
            condition, pooled = self.under_hooks(start).encode(tokens)
            span = {"clip_start_percent": start, "clip_end_percent": end}
            made.append([condition, {"pooled_output": pooled, **span, **more}])
        return made

    def clone(self) -> "TextEncoder":
        return self

    @contextmanager
    def _module(self, device: torch.device) -> Iterator[Any]:
        dtype = torch.float16 if compute_dtype(device) is not torch.float32 else torch.float32
        # ComfyUI keeps text encoders in half precision, and LoRAs on them as well (MODEL-13).
        uses = residency().use(self.weights, self.layers, self._build, device=device, dtype=dtype, rounds=True)
        with uses as module:
            yield module

    def _build(self) -> nn.ModuleDict:
        return nn.ModuleDict(
            {
                f"clip_{letter}": ClipText(
                    text_shape(self.weights.below(f"clip_{letter}.").shapes),
                    heads=recipe.heads,
                    activation=recipe.activation,
                )
                for letter, recipe in self.recipe.encoders.items()
            }
        )

    def _encode(
        self, module: ClipText, recipe: EncoderRecipe, given: list[Window], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights scale the distance of a token's output from that of an empty prompt, which is encoded along with the
        windows."""
        weights = torch.tensor([[weight for _, weight in window] for window in given])
        is_weighted = bool((weights != 1.0).any())
        rows = [*given, empty_window(recipe.pad)] if is_weighted else given
        encoded = module(_embedded(module, rows, device))
        hidden = self._selected_layer(module, recipe, encoded).float().cpu()
        if is_weighted:
            empty, hidden = hidden[-1:], hidden[:-1]
            hidden = (hidden - empty) * weights[..., None] + empty
        first_end = next(index for index, (token, _) in enumerate(given[0]) if _is_token(token, END))
        pooled = module.projected(encoded.final[:1, first_end]).float().cpu()
        return hidden.flatten(0, 1)[None], pooled

    def _selected_layer(self, module: ClipText, recipe: EncoderRecipe, encoded: Encoded) -> torch.Tensor:
        layer = self.layer if self.layer is not None else recipe.layer
        if abs(layer) > len(encoded.layers) - 1:
            return encoded.final
        hidden = encoded.layers[layer]
        return module.normalised(hidden) if recipe.normalises else hidden


def _embedded(module: ClipText, rows: list[Window], device: torch.device) -> torch.Tensor:
    numbers = torch.tensor([[token if isinstance(token, int) else 0 for token, _ in row] for row in rows])
    embedded = module.embedded(numbers.to(device))
    for row, window in enumerate(rows):
        for column, (token, _) in enumerate(window):
            if isinstance(token, torch.Tensor):
                embedded[row, column] = token.to(embedded)
    return embedded


def _is_token(token: int | torch.Tensor, number: int) -> bool:
    return isinstance(token, int) and token == number
