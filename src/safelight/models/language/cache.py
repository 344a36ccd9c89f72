"""The keys and values of the tokens that a decoder has seen, so that the next token costs one step."""

from dataclasses import dataclass, field

import torch


@dataclass(eq=False)
class KeyValueCache:
    """Mutable: grows with each call. ``keys`` and ``values``: of each layer, ``[B, heads, tokens, width]``."""

    keys: list[torch.Tensor] = field(default_factory=list)
    values: list[torch.Tensor] = field(default_factory=list)

    @property
    def length(self) -> int:
        """The number of tokens seen."""
        return self.keys[0].shape[2] if self.keys else 0

    def extended(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the new tokens of a layer; returns the keys and values of all tokens."""
        if layer == len(self.keys):
            self.keys.append(keys)
            self.values.append(values)
        else:
            self.keys[layer] = torch.cat((self.keys[layer], keys), dim=2)
            self.values[layer] = torch.cat((self.values[layer], values), dim=2)
        return self.keys[layer], self.values[layer]
