"""Parse weights in a prompt: ``(word)`` counts 1.1 times as much, ``(word:1.3)`` 1.3 times, ``\\(`` is a parenthesis.

An explicit number replaces the weight of the surrounding text; parentheses without a number multiply it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

EMPHASIS = 1.1

_ESCAPED = {"\\(": "\0", "\\)": "\1"}


@dataclass(frozen=True, slots=True)
class Segment:
    text: str
    weight: float


def segments(prompt: str) -> list[Segment]:
    """Split the prompt into segments of one weight each, in order."""
    for written, mark in _ESCAPED.items():
        prompt = prompt.replace(written, mark)
    return [Segment(_unescaped(text), weight) for text, weight in _weighted(prompt, 1.0) if text]


def unweighted(prompt: str) -> Segment:
    """The prompt as one segment, for encoders without weights: only escaped parentheses mean something."""
    for written, mark in _ESCAPED.items():
        prompt = prompt.replace(written, mark)
    return Segment(_unescaped(prompt), 1.0)


def _weighted(text: str, weight: float) -> Iterator[tuple[str, float]]:
    for piece in _pieces(text):
        if len(piece) < 2 or piece[0] != "(" or piece[-1] != ")":
            yield piece, weight
            continue
        inner, separator, number = piece[1:-1].rpartition(":")
        if separator and inner and (explicit := _number(number)) is not None:
            yield from _weighted(inner, explicit)
        else:
            yield from _weighted(piece[1:-1], weight * EMPHASIS)


def _pieces(text: str) -> Iterator[str]:
    """Outermost groups with their parentheses, and the text between them.

    Only parentheses at depth 0 begin or end a piece. An unmatched closing one makes the depth negative and is text; so
    is the next opening one, which only brings the depth back to 0 (``smile :), (red hair:1.3)`` is one piece). An
    unmatched opening one includes the rest of the prompt in its piece."""
    depth, start = 0, 0
    for position, character in enumerate(text):
        if character == "(":
            if depth == 0:
                yield text[start:position]
                start = position
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                yield text[start : position + 1]
                start = position + 1
    yield text[start:]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _unescaped(text: str) -> str:
    return text.replace("\0", "(").replace("\1", ")")
