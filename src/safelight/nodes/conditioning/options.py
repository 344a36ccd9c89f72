"""Conditioning as a value: a list of ``[embedding, options]``. Never changed in place, because other nodes may hold
it."""

from collections.abc import Mapping
from typing import Any

Conditioning = list[list[Any]]
"""Items are ``[embedding, options]``; the embedding is a tensor ``[B, tokens, features]``."""


def with_options(conditioning: Conditioning, options: Mapping[str, Any]) -> Conditioning:
    """The same embeddings, with these options set."""
    return [[embedding, {**old, **options}] for embedding, old in conditioning]


def with_appended(conditioning: Conditioning, key: str, value: Any) -> Conditioning:
    """The same embeddings, with ``value`` appended to the list in the option ``key``."""
    return [[embedding, {**old, key: [*old.get(key, []), value]}] for embedding, old in conditioning]
