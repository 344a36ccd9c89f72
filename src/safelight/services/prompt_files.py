"""The texts of a prompt: any of them may name a file of the owner's, or a model."""

from collections.abc import Iterator, Mapping
from typing import Any


def strings_of(prompt: Mapping[str, Any]) -> Iterator[str]:
    """Every string that a prompt gives to an input, however deep; a link to another call is none."""
    for call in prompt.values():
        inputs = call.get("inputs") if isinstance(call, Mapping) else None
        if isinstance(inputs, Mapping):
            for value in inputs.values():
                yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        is_link = len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)
        for item in () if is_link else value:
            yield from _strings(item)
