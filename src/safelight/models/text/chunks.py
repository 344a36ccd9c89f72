"""A prompt's tokens in windows of 77: start, up to 75 tokens, end, and what fills the window up.

Segments of one weight stay together: one of fewer than eight tokens that does not fit any more goes whole to the next
window; a longer one is split.
"""

from collections.abc import Callable

import torch

from safelight.models.text.prompt import segments
from safelight.models.text.tokenizer import END, START, tokens_of

Token = int | torch.Tensor
"""A number of the vocabulary, or a vector ``[width]`` in its place (textual inversion, Gal et al. 2022)."""
WeightedToken = tuple[Token, float]
Window = list[WeightedToken]

LENGTH = 77
SPLIT_FROM = 8
EMBEDDING = "embedding:"

FindEmbedding = Callable[[str], torch.Tensor | None]
"""From a name to vectors ``[n, width]``; none if there is no such file."""


def windows(prompt: str, *, pad: int, find_embedding: FindEmbedding) -> list[Window]:
    """At least one window."""
    filled: list[Window] = []
    window: Window = [(START, 1.0)]
    for group in _groups(prompt, find_embedding):
        splits = len(group) >= SPLIT_FROM
        while len(window) + len(group) > LENGTH - 1:
            room = LENGTH - 1 - len(window)
            if splits or len(group) > LENGTH - 2:
                window, group = window + group[:room], group[room:]
            filled.append(_closed(window, pad))
            window = [(START, 1.0)]
        window = window + group
    return [*filled, _closed(window, pad)]


def empty_window(pad: int) -> Window:
    return _closed([(START, 1.0)], pad)


def _closed(window: Window, pad: int) -> Window:
    closed = [*window, (END, 1.0)]
    return closed + [(pad, 1.0)] * (LENGTH - len(closed))


def _groups(prompt: str, find_embedding: FindEmbedding) -> list[Window]:
    groups = []
    for segment in segments(prompt):
        words: list[str] = []
        for word in segment.text.replace("\n", " ").split(" "):
            found = find_embedding(word[len(EMBEDDING) :].rstrip(",")) if word.startswith(EMBEDDING) else None
            if found is None:
                words.append(word)
                continue
            groups += [_plain(words, segment.weight), [(vector, segment.weight) for vector in found]]
            words = [","] if word.endswith(",") else []
        groups.append(_plain(words, segment.weight))
    return [group for group in groups if group]


def _plain(words: list[str], weight: float) -> Window:
    return [(token, weight) for token in tokens_of(" ".join(words))]
