"""How much memory a result keeps alive, for the cache to weigh. An estimate: what is shared counts each time."""

from collections.abc import Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any

MAX_VALUES = 10_000
"""Where a result has more parts, the rest is not counted."""

_OBJECT_BYTES = 64


def size_of(values: Iterable[Any]) -> int:
    """Bytes of arrays, tensors, texts and files of bytes in ``values``, at any depth."""
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
        if isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            waiting.extend(value)
        elif isinstance(value, str | bytes | bytearray):
            total += len(value)
        elif not isinstance(value, type | ModuleType | FunctionType):  # these belong to the program
            total += _own_size(value)
            waiting.extend(getattr(value, "__dict__", {}).values())
    return total


def _own_size(value: Any) -> int:
    size = getattr(value, "nbytes", 0)
    return size if isinstance(size, int) else 0
