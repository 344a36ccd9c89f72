"""What a decoder has seen, so that the next token costs one step."""

from dataclasses import dataclass, field

import torch


@dataclass(eq=False)
class RecurrentState:
    """Of a layer with linear attention: ``window [B, features, tokens]`` are the last inputs of its convolution,
    ``memory [B, heads, key width, value width]`` is what its heads remember."""

    window: torch.Tensor
    memory: torch.Tensor


@dataclass(eq=False)
class KeyValueCache:
    """Mutable: grows with each call. By layer: ``keys`` and ``values``, ``[B, heads, tokens, width]``, or the
    ``states`` of linear attention. ``length``: the number of tokens seen; the decoder counts them."""

    keys: dict[int, torch.Tensor] = field(default_factory=dict)
    values: dict[int, torch.Tensor] = field(default_factory=dict)
    states: dict[int, RecurrentState] = field(default_factory=dict)
    length: int = 0

    def extended(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the new tokens of a layer; returns the keys and values of all tokens."""
        if layer in self.keys:
            keys = torch.cat((self.keys[layer], keys), dim=2)
            values = torch.cat((self.values[layer], values), dim=2)
        self.keys[layer], self.values[layer] = keys, values
        return keys, values
