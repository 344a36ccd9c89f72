"""Encoders that read a prompt as a whole, such as T5 and language models: its tokens in one window, and which of them
are masked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from safelight.models.text.chunks import Window


@dataclass(frozen=True)
class SpecialTokens:
    """``start`` and ``end``: ``None`` for a vocabulary that adds none."""

    pad: int
    start: int | None = None
    end: int | None = None

    def window(self, groups: Sequence[Window], *, least: int = 0, padding: int = 0) -> Window:
        """The tokens of all groups. ``padding``: how many tokens of padding follow, at least; ``least``: the length
        that padding fills up to."""
        made = [] if self.start is None else [(self.start, 1.0)]
        made += [token for group in groups for token in group]
        if self.end is not None:
            made.append((self.end, 1.0))
        made += [(self.pad, 1.0)] * padding
        return made + [(self.pad, 1.0)] * (least - len(made))

    def empty(self, length: int) -> Window:
        """The window of an empty prompt."""
        made = [(token, 1.0) for token in (self.start, self.end) if token is not None]
        return made + [(self.pad, 1.0)] * (length - len(made))

    def mask(self, tokens: Sequence[Any]) -> list[int]:
        """1 for each token of the prompt, 0 for padding: after the first end or, without one, from the first padding
        on."""
        mask, is_over = [], False
        for token in tokens:
            is_padding = isinstance(token, int) and self.end is None and token == self.pad
            is_over = is_over or is_padding
            mask.append(0 if is_over else 1)
            is_over = is_over or (isinstance(token, int) and token == self.end)
        return mask


class Embeds(Protocol):
    """A network with token embeddings."""

    def embedded(self, tokens: torch.Tensor) -> torch.Tensor: ...


def embedded_row(module: Embeds, tokens: Sequence[Any], device: torch.device) -> torch.Tensor:
    """The embeddings ``[1, tokens, width]`` of numbers and of vectors of textual inversions."""
    numbers = torch.tensor([[token if isinstance(token, int) else 0 for token in tokens]], device=device)
    row = module.embedded(numbers)
    for column, token in enumerate(tokens):
        if isinstance(token, torch.Tensor):
            row[0, column] = token.to(row)
    return row


def weighed(hidden: torch.Tensor, empty: torch.Tensor, window: Window) -> torch.Tensor:
    """Weights scale the distance of a token's output from that of the empty prompt at the same place."""
    weights = torch.tensor([weight for _, weight in window])[None, :, None]
    return torch.where(weights == 1.0, hidden, (hidden - empty) * weights + empty)


def is_weighted(window: Window) -> bool:
    return any(weight != 1.0 for _, weight in window)


def padding_of(options: Mapping[str, Any], key: str, least: int) -> dict[str, int]:
    """The lengths that the node ``T5TokenizerOptions`` has set for an encoder, or its own."""
    chosen = options.get("tokenizer_options") or {}
    return {
        "least": int(chosen.get(f"{key}_min_length", least)),
        "padding": int(chosen.get(f"{key}_min_padding", 0)),
    }
