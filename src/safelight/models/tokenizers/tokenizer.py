"""The interface of a tokenizer."""

from collections.abc import Sequence
from typing import Protocol

from safelight.models.weights import UnknownWeights


class MissingTokenizer(UnknownWeights):
    """A model's vocabulary is neither part of this package nor in the model's file or beside it."""

    code = "missing_tokenizer"


class Tokenizer(Protocol):
    """Law: without special tokens in it, ``decode(encode(text))`` is ``text``, up to its normalisation."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without any at its start or end. Special tokens that are written out are one token."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, with special tokens left out."""
        ...
