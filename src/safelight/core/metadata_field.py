"""Fields of an asset's metadata, as a filter asks for them: each becomes a word that an index can hold.

``{"base": "SDXL", "sizes": [512, 768]}`` has the words ``base``, ``base="SDXL"``, ``sizes``, ``sizes=512`` and
``sizes=768``. Objects inside have only the word of their key.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from safelight.core.errors import Invalid

MAX_WISHES = 16
_MAX_WORDS = 200
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class FieldWish:
    """One of these words, or with ``is_absent`` none of them."""

    words: tuple[str, ...]
    is_absent: bool = False


def words_of(metadata: Mapping[str, Any]) -> list[str]:
    """At most 200, those of the first fields."""
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


def parse_wishes(text: str) -> tuple[FieldWish, ...]:
    """Read ``{"base": "SDXL", "kind": ["lora", "vae"], "license": null}``: equal, one of, and absent."""
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("metadata_filter is not JSON") from None
    if not isinstance(asked, dict):
        raise Invalid("metadata_filter is not a JSON object")
    if len(asked) > MAX_WISHES:
        raise Invalid(f"metadata_filter has {len(asked)} fields (at most {MAX_WISHES})")
    return tuple(_wish(key, value) for key, value in asked.items())


def _wish(key: str, value: Any) -> FieldWish:
    if value is None:
        return FieldWish((_short(key),), is_absent=True)
    items = value if isinstance(value, list) else [value]
    if not items or len(items) > MAX_WISHES or not all(isinstance(item, (str, int, float, bool)) for item in items):
        raise Invalid(f"metadata_filter: {key!r} must be a text, a number, true, false, null, or a list of such")
    return FieldWish(tuple(_word(key, item) for item in items))


def _word(key: str, value: str | int | float | bool) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows one kind of number
    return _short(f"{key}={json.dumps(value)}")


def _short(word: str) -> str:
    if len(word) <= _LONGEST:
        return word
    return f"{word[:100]}#{blake2b(word.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
