"""The value on ``CLIP`` links: text encoders. Some of its methods have the names that node packs call."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.text.chunks import Window
from safelight.models.text.recipe import Encoding, TextRecipe
from safelight.models.weight_hooks import HookGroup
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import Weights

Tokens = Mapping[str, list[Window]]
"""By the encoder's key, windows of ``(token, weight)``."""


@dataclass(frozen=True)
class TextEncoder:
    """``weights`` of each encoder are below its kind (``clip_l.``). ``layer``: counted from the end, if a node chose
    one for all encoders."""

    weights: Weights
    recipe: TextRecipe
    layers: tuple[WeightLayer, ...] = ()
    layer: int | None = None
    hooks: HookGroup | None = None
    """``hooks_conditions``: set the hooks on the conditioning as well. ``follows_keyframes``: encode once for each
    keyframe."""
    hooks_conditions: bool = False
    follows_keyframes: bool = False
    tokenizer_options: tuple[tuple[str, int], ...] = ()
    """Lengths that nodes have set for the tokenizers."""

    @property
    def shapes(self) -> Mapping[str, torch.Size]:
        return self.weights.shapes

    def with_layers(self, *layers: WeightLayer) -> "TextEncoder":
        return replace(self, layers=(*self.layers, *layers))

    def with_layer(self, layer: int) -> "TextEncoder":
        return replace(self, layer=layer)

    def with_tokenizer_options(self, options: Mapping[str, int]) -> "TextEncoder":
        return replace(self, tokenizer_options=(*self.tokenizer_options, *options.items()))

    def under_hooks(self, progress: float | None) -> "TextEncoder":
        """The encoder with its hooks as layers, at a point of sampling (0..1); ``None`` ignores their keyframes."""
        if self.hooks is None:
            return self
        layers = self.hooks.text_layers(self.shapes, progress=progress)
        return replace(self, hooks=None, layers=(*self.layers, *layers))

    def tokenize(self, text: str, return_word_ids: bool = False, **options: Any) -> dict[str, list[Window]]:
        return {key: self.tokenize_for(key, text, **options) for key in self.recipe.encoders}

    def tokenize_for(self, key: str, text: str, **options: Any) -> list[Window]:
        """Windows for a single encoder."""
        recipe = self.recipe.encoders[key]
        lengths = {**dict(self.tokenizer_options), **options.get("tokenizer_options", {})}
        return recipe.tokenize(text, self.weights_of(key), {**options, "tokenizer_options": lengths})

    def weights_of(self, key: str) -> Weights:
        """The weights of one encoder, under its own names."""
        return self.weights.below(f"{self.recipe.encoders[key].kind}.")

    def encode(self, tokens: Tokens) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Embeddings ``[1, tokens, features]`` and pooled output ``[1, features]``, float32 on the CPU."""
        encoding = self.encoding(tokens)
        return encoding.hidden, encoding.pooled

    def encoding(self, tokens: Tokens) -> Encoding:
        """The joined result of the encoders that ``tokens`` has windows for."""
        if self.hooks is not None:
            return self.under_hooks(None).encoding(tokens)
        device = compute_device()
        with self._module(device) as module, torch.inference_mode():
            encoded = {
                key: recipe.encode(module[recipe.kind], tokens[key], layer=self.layer, device=device)
                for key, recipe in self.recipe.encoders.items()
                if key in tokens
            }
        return self.recipe.join(encoded)

    def encode_from_tokens(
        self, tokens: Tokens, return_pooled: bool = False, return_dict: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor | None] | dict[str, Any]:
        encoding = self.encoding(tokens)
        if return_dict:
            return {"cond": encoding.hidden, **_options(encoding)}
        return (encoding.hidden, encoding.pooled) if return_pooled else encoding.hidden

    def encode_from_tokens_scheduled(
        self, tokens: Tokens, unprojected: bool = False, add_dict: Mapping[str, Any] | None = None, **_: Any
    ) -> list[list[Any]]:
        """The conditioning of the tokens."""
        more = dict(add_dict or {})
        if self.hooks is not None and self.hooks_conditions:
            more["hooks"] = self.hooks
        if self.hooks is None or not self.follows_keyframes:
            encoding = self.encoding(tokens)
            return [[encoding.hidden, {**_options(encoding), **more}]]
        made = []
        starts = self.hooks.starts()
        for start, end in zip(starts, [*starts[1:], 1.0], strict=True):
            encoding = self.under_hooks(start).encoding(tokens)
            span = {"clip_start_percent": start, "clip_end_percent": end}
            made.append([encoding.hidden, {**_options(encoding), **span, **more}])
        return made

    def clone(self) -> "TextEncoder":
        return self

    @contextmanager
    def network(self) -> Iterator[Any]:
        """The networks by kind, resident while the context is open."""
        with self._module(compute_device()) as module:
            yield module

    @contextmanager
    def _module(self, device: torch.device) -> Iterator[Any]:
        # ComfyUI keeps text encoders in half precision, and LoRAs on them as well (MODEL-13).
        uses = residency().use(
            self.weights, self.layers, self._build, device=device, dtype=self.network_dtype(device), rounds=True
        )
        with uses as module:
            yield module

    def network_dtype(self, device: torch.device) -> torch.dtype:
        """The type that the networks compute in."""
        half = compute_dtype(device)
        if half is torch.float32 or not any(one.overflows_half for one in self.recipe.encoders.values()):
            return half if half is torch.float32 else torch.float16
        return half if half is torch.bfloat16 else torch.float32

    def _build(self) -> nn.ModuleDict:
        return nn.ModuleDict({one.kind: one.build(self.weights_of(key)) for key, one in self.recipe.encoders.items()})


def _options(encoding: Encoding) -> dict[str, Any]:
    masked = {} if encoding.mask is None else {"attention_mask": encoding.mask}
    return {"pooled_output": encoding.pooled, **masked, **encoding.options}
