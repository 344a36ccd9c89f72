"""Tokenizers of SentencePiece models (Kudo and Richardson 2018): Gemma's and UMT5's. They run in SentencePiece itself:
what Hugging Face's format makes of the same models differs for emoji and for repeated spaces.
"""

import lzma
from collections.abc import Sequence
from functools import cache
from importlib.resources import files


class SentencePieces:
    """``data``: a serialised model. Raises :class:`ValueError` for other data."""

    def __init__(self, data: bytes) -> None:
        from sentencepiece import SentencePieceProcessor  # a worker without such models does not need it

        self._processor = SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(data)
        except RuntimeError as error:
            raise ValueError(f"no SentencePiece model: {error}") from None

    def encode(self, text: str) -> list[int]:
        tokens: list[int] = self._processor.encode(text, add_bos=False, add_eos=False)
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        text: str = self._processor.decode(list(tokens))
        return text


@cache
def umt5() -> SentencePieces:
    """That of UMT5."""
    packed = files("safelight.models.data").joinpath("umt5_spiece.model.xz").read_bytes()
    return SentencePieces(lzma.decompress(packed))
