"""Weights in a prompt: ``(word)`` counts 1.1 times as much, ``(word:1.3)`` 1.3 times, ``\\(`` is a parenthesis.

A number counts from 1, not from the weight of what stands around it; parentheses without one multiply.
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
    """The prompt in pieces of one weight each, in order. Parentheses without a partner are text."""
    for written, mark in _ESCAPED.items():
        prompt = prompt.replace(written, mark)
    return [Segment(_unescaped(text), weight) for text, weight in _weighted(prompt, 1.0) if text]


def _weighted(text: str, weight: float) -> Iterator[tuple[str, float]]:
    for piece, is_group in _pieces(text):
        if not is_group:
            yield piece, weight
            continue
        inner, separator, number = piece[1:-1].rpartition(":")
        if separator and inner and (told := _number(number)) is not None:
            yield from _weighted(inner, told)
        else:
            yield from _weighted(piece[1:-1], weight * EMPHASIS)


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Outermost groups, with their parentheses, and what is between them."""
    partners = _partners(text)
    start = position = 0
    while position < len(text):
        end = partners.get(position)
        if end is None:
            position += 1
            continue
        yield text[start:position], False
        yield text[position : end + 1], True
        start = position = end + 1
    yield text[start:], False


def _partners(text: str) -> dict[int, int]:
    open_at: list[int] = []
    partners: dict[int, int] = {}
    for position, character in enumerate(text):
        if character == "(":
            open_at.append(position)
        elif character == ")" and open_at:
            partners[open_at.pop()] = position
    return partners


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _unescaped(text: str) -> str:
    return text.replace("\0", "(").replace("\1", ")")
