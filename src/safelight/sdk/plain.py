"""What authors declare and show, as plain data: packs put tuples, enums, numpy's numbers and odd strings there."""

import enum
from collections.abc import Mapping
from typing import Any


def plain_text(text: Any) -> str:
    """A string of the very type ``str``: packs use subclasses that equal everything."""
    return "".join(text) if isinstance(text, str) else str(text)


def plain(value: Any) -> Any:
    """What JSON can say of ``value``; what it can't, such as a function, becomes a text."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if type(value) is int and not -(2**63) <= value < 2**64:
        return float(value)  # beyond what msgpack can say; such bounds are meant as "any number"
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
