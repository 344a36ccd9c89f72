"""Arrange a prompt's tokens in windows of 77 (more for LongCLIP): start, up to 75 tokens, end, and padding.

Tokens of one segment (with one weight) stay together: a segment of fewer than eight tokens that does not fit moves to
the next window; a longer one is split.
"""

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch

from safelight.models.text.prompt_weights import segments, unweighted
from safelight.models.text.tokenizer import END, START, tokens_of

Token = Any
"""A number in the vocabulary, a vector ``[width]`` instead of one (textual inversion, Gal et al. 2022), or another
value that the encoder understands."""
WeightedToken = tuple[Token, float]
Window = list[WeightedToken]

LENGTH = 77
SPLIT_FROM = 8
EMBEDDING = "embedding:"

_BEFORE_EMBEDDING = re.compile(rf"[ \n]{EMBEDDING}")

logger = logging.getLogger(__name__)

FindEmbedding = Callable[[str], torch.Tensor | None]
"""From a name to vectors ``[n, width]``; ``None`` if there is no such file."""
TokensOf = Callable[[str], list[int]]


def windows(prompt: str, *, pad: int, find_embedding: FindEmbedding, length: int = LENGTH) -> list[Window]:
    """The windows of a prompt; at least one. ``length``: of each, with start and end."""
    filled: list[Window] = []
    window: Window = [(START, 1.0)]
    for group in groups(prompt, tokens_of, find_embedding):
        splits = len(group) >= SPLIT_FROM
        while len(window) + len(group) > length - 1:
            room = length - 1 - len(window)
            if splits or len(group) > length - 2:
                window, group = window + group[:room], group[room:]
            filled.append(_closed(window, pad, length))
            window = [(START, 1.0)]
        window = window + group
    return [*filled, _closed(window, pad, length)]


def empty_window(pad: int, *, length: int = LENGTH) -> Window:
    return _closed([(START, 1.0)], pad, length)


def _closed(window: Window, pad: int, length: int) -> Window:
    closed = [*window, (END, 1.0)]
    return closed + [(pad, 1.0)] * (length - len(closed))


def groups(
    prompt: str, tokens_of: TokensOf, find_embedding: FindEmbedding | None, *, is_weighted: bool = True
) -> list[Window]:
    """The tokens that belong together, without start and end. ``find_embedding``: ``None`` for encoders without textual
    inversion, in which the word is text. ``is_weighted``: whether parentheses are weights."""
    made: list[Window] = []
    for segment in segments(prompt) if is_weighted else [unweighted(prompt)]:
        first, *named = _BEFORE_EMBEDDING.split(segment.text)
        for words in [first, *(EMBEDDING + name for name in named)]:
            if words.startswith(EMBEDDING) and find_embedding is not None:
                found, words = _embedding(words.removeprefix(EMBEDDING), find_embedding)
                made.append([(vector, segment.weight) for vector in found])
            made.append([(token, segment.weight) for token in tokens_of(words)] if words else [])
    return [group for group in made if group]


def _embedding(named: str, find_embedding: FindEmbedding) -> tuple[Sequence[torch.Tensor], str]:
    """The vectors of the file that the first word names, with or without commas after it, and the remaining text. No
    vectors, and a warning, if there is no such file."""
    name, *rest = named.split() or [""]
    found = find_embedding(name) if name else None
    bare = name.strip(",")
    if found is None and bare != name:
        found = find_embedding(bare) if bare else None
        rest = [name[len(bare) :], *rest]
    if found is None:
        logger.warning("ignoring embedding %r: it does not exist, or not for this text encoder", bare)
    return ([] if found is None else list(found)), " ".join(rest)
