"""How text encoders are used: the protocol that every kind of encoder implements, and how their outputs are joined."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import nn

from safelight.models.text.chunks import Window
from safelight.models.weights import Weights


@dataclass(frozen=True, eq=False)
class Encoding:
    """The result of one encoder, float32 on the CPU: ``hidden [1, tokens, features]``, ``pooled [1, features]`` and
    ``mask [1, tokens]``, where 0 is a token to ignore. ``options`` are set on the conditioning."""

    hidden: torch.Tensor
    pooled: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class EncoderRecipe(Protocol):
    """One text encoder of a family, as the family uses it: CLIP, T5, a language model. A frozen value; ``weights`` are
    the encoder's own, under the names of :data:`safelight.models.text.encoder_files.ENCODER_FILES`."""

    @property
    def kind(self) -> str:
        """The kind of its file: ``clip_l``, ``t5xxl``."""
        ...

    @property
    def overflows_half(self) -> bool:
        """Whether its activations exceed the range of float16."""
        ...

    def build(self, weights: Weights) -> nn.Module:
        """The network, without data; its state has the names of the weights."""
        ...

    def tokenize(self, text: str, weights: Weights, options: Mapping[str, Any]) -> list[Window]:
        """At least one window of ``(token, weight)``. A token is a number, a vector of a textual inversion, or another
        value that :meth:`encode` understands. ``options`` are further keywords of ``tokenize``."""
        ...

    def encode(
        self, module: nn.Module, windows: Sequence[Window], *, layer: int | None, device: torch.device
    ) -> Encoding:
        """``layer``: the one that a node chose, counted from the end."""
        ...


Join = Callable[[Mapping[str, Encoding]], Encoding]
"""From the encoders' results by key to the family's conditioning."""


def side_by_side(encodings: Mapping[str, Encoding]) -> Encoding:
    """Embeddings side by side, as long as the shortest; the pooled output of the last."""
    encoded = list(encodings.values())
    length = min(one.hidden.shape[1] for one in encoded)
    hidden = torch.cat([one.hidden[:, :length] for one in encoded], dim=-1)
    return Encoding(hidden, encoded[-1].pooled, encoded[-1].mask, encoded[-1].options)


def pooled_beside(key: str, *, pooled: str) -> Join:
    """The result of the encoder ``key``, with the pooled output of another."""

    def join(encodings: Mapping[str, Encoding]) -> Encoding:
        return replace(encodings[key], pooled=encodings[pooled].pooled)

    return join


@dataclass(frozen=True)
class TextRecipe:
    """The text encoders of a family by the keys that tokens have: ``l``, ``g``, ``t5xxl``."""

    encoders: Mapping[str, EncoderRecipe]
    join: Join = side_by_side
    types: tuple[str, ...] = ()
    """The types of the nodes that load these encoders from files of their own."""
    optional: frozenset[str] = frozenset()
    """Keys of encoders that may be missing."""
    prefixes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where checkpoints have the weights of each; the first is where they are saved."""
    title: str = ""
    """The family's name, for messages."""

    def accepts(self, kinds: frozenset[str]) -> bool:
        """Whether files of these kinds are what it needs."""
        required = {one.kind for key, one in self.encoders.items() if key not in self.optional}
        return required <= kinds <= {one.kind for one in self.encoders.values()} and bool(kinds)

    def with_kinds(self, kinds: frozenset[str]) -> "TextRecipe":
        """Only the encoders of these kinds."""
        return replace(self, encoders={key: one for key, one in self.encoders.items() if one.kind in kinds})
