"""Estimates of the memory that a result keeps alive, for the cache. Memory shared by several results counts for
each."""

from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

MAX_VALUES = 10_000
"""Maximum number of objects counted in one result."""

_OBJECT_BYTES = 64


def size_of(values: Iterable[Any]) -> int:
    """Return the bytes of arrays, tensors, texts and byte strings in ``values``, at any depth."""
    total = 0
    seen: set[int] = set()
    waiting = list(values)
    for _ in range(MAX_VALUES):
        if not waiting:
            break
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        total += _OBJECT_BYTES
        if isinstance(value, dict):  # any other mapping may load its values when they are read
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            waiting.extend(value)
        elif isinstance(value, str | bytes | bytearray):
            total += len(value)
        elif not isinstance(value, type | ModuleType | FunctionType):  # part of the program, not of the result
            total += _own_size(value)
            waiting.extend(getattr(value, "__dict__", {}).values())
    return total


def _own_size(value: Any) -> int:
    size = getattr(value, "nbytes", 0)
    return size if isinstance(size, int) else 0
