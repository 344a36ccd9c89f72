"""Tokenizers in files of Hugging Face's format, ``tokenizer.json``."""

import lzma
from collections.abc import Sequence
from functools import cache
from importlib.resources import files


class JsonTokenizer:
    """``text``: the contents of the file. Raises :class:`ValueError` for other text."""

    def __init__(self, text: str) -> None:
        from tokenizers import Tokenizer  # slow to import

        try:
            self._fast = Tokenizer.from_str(text)
        except Exception as error:  # the library raises plain exceptions
            raise ValueError(f"no tokenizer: {error}") from None
        self._fast.no_padding()
        self._fast.no_truncation()

    def encode(self, text: str) -> list[int]:
        return self._fast.encode(text, add_special_tokens=False).ids

    def decode(self, tokens: Sequence[int]) -> str:
        return self._fast.decode(list(tokens), skip_special_tokens=True)


@cache
def t5() -> JsonTokenizer:
    """That of T5."""
    packed = files("safelight.models.data").joinpath("t5_tokenizer.json.xz").read_bytes()
    return JsonTokenizer(lzma.decompress(packed).decode())
