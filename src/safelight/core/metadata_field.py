"""The fields of an asset's metadata as index words, and the filters on them.

``{"base": "SDXL", "sizes": [512, 768]}`` has the index words ``base``, ``base="SDXL"``, ``sizes``, ``sizes=512`` and
``sizes=768``. A nested object has only the word of its key.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from safelight.core.errors import Invalid

MAX_FIELDS = 16
_MAX_WORDS = 200
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class FieldFilter:
    """Matches assets with one of these words; with ``is_absent``, assets with none of them."""

    words: tuple[str, ...]
    is_absent: bool = False


def words_of(metadata: Mapping[str, Any]) -> list[str]:
    """The index words of metadata; at most 200, those of the first fields."""
    words: dict[str, None] = {}
    for word in _all_words(metadata):
        words[word] = None
        if len(words) == _MAX_WORDS:
            break
    return list(words)


def _all_words(metadata: Mapping[str, Any]) -> Iterator[str]:
    for key, value in metadata.items():
        if value is None:
            continue
        yield _short(key)
        for item in value[:_MAX_WORDS] if isinstance(value, list) else (value,):
            if isinstance(item, (str, int, float, bool)):
                yield _word(key, item)


def parse_metadata_filter(text: str) -> tuple[FieldFilter, ...]:
    """Parse ``{"base": "SDXL", "kind": ["lora", "vae"], "license": null}``: equal, one of, absent."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("metadata_filter is not JSON") from None
    if not isinstance(fields, dict):
        raise Invalid("metadata_filter is not a JSON object")
    if len(fields) > MAX_FIELDS:
        raise Invalid(f"metadata_filter has {len(fields)} fields (at most {MAX_FIELDS})")
    return tuple(_field_filter(key, value) for key, value in fields.items())


def _field_filter(key: str, value: Any) -> FieldFilter:
    if value is None:
        return FieldFilter((_short(key),), is_absent=True)
    items = value if isinstance(value, list) else [value]
    if not items or len(items) > MAX_FIELDS or not all(isinstance(item, (str, int, float, bool)) for item in items):
        raise Invalid(f"metadata_filter: {key!r} must be a string, a number, true, false, null, or a list of these")
    return FieldFilter(tuple(_word(key, item) for item in items))


def _word(key: str, value: str | int | float | bool) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number
    return _short(f"{key}={json.dumps(value)}")


def _short(word: str) -> str:
    if len(word) <= _LONGEST:
        return word
    return f"{word[:100]}#{blake2b(word.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
