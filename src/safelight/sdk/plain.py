"""Convert what node authors declare and show to plain data: packs use tuples, enums, numpy numbers and str
subclasses."""

import enum
from collections.abc import Mapping
from typing import Any


def plain_text(text: Any) -> str:
    """Return a string of exactly the type ``str``: packs use subclasses that equal everything."""
    return "".join(text) if isinstance(text, str) else str(text)


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can express it; anything else, such as a function, becomes its text."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if type(value) is int and not -(2**63) <= value < 2**64:
        return float(value)  # beyond msgpack's range; such bounds mean "any number"
    if value is None or isinstance(value, bool) or type(value) in (int, float, str):
        return value
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, Mapping):
        return {plain_text(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(v) for v in value), key=str)
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        return plain(value.item())
    return str(value)
