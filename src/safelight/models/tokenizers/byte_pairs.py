"""Byte-level byte-pair tokenizers (Sennrich et al. 2016, Radford et al. 2019): Qwen's, and those of tekken files.

Every byte is a symbol, so that no text is unknown. A vocabulary of Qwen has the bytes, the results of its merges in
their order, and the special tokens.
"""

import base64
import json
import lzma
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from safelight.models.text.tokenizer import byte_order, byte_symbols

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Fast

_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_QWEN_MORE = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
"""Also one token each, but part of the text."""


class BytePairs:
    """A tokenizer of the ``tokenizers`` library."""

    def __init__(self, fast: "Fast") -> None:
        self._fast = fast

    def encode(self, text: str) -> list[int]:
        return self._fast.encode(text, add_special_tokens=False).ids

    def decode(self, tokens: Sequence[int]) -> str:
        return self._fast.decode(list(tokens), skip_special_tokens=True)


@cache
def qwen() -> BytePairs:
    """That of Qwen 2, 2.5 and 3: 151,643 tokens and 26 special ones."""
    packed = files("safelight.models.data").joinpath("qwen_merges.txt.xz").read_bytes()
    lines = lzma.decompress(packed).decode().split("\n")[1:]
    merges = [(first, second) for first, second in (line.split(" ") for line in lines if line)]
    words = [byte_symbols()[byte] for byte in byte_order()] + [first + second for first, second in merges]
    vocabulary = {word: number for number, word in enumerate(words)}
    return BytePairs(_fast(vocabulary, merges, words=_QWEN_WORDS, special=_QWEN_SPECIAL, more=_QWEN_MORE))


def tekken(data: bytes) -> BytePairs:
    """That of a tekken file (Mistral): JSON with the bytes of each token by rank; special tokens come first. Raises
    :class:`ValueError` for other data."""
    try:
        found = json.loads(data)
        special = [entry["token_str"] for entry in sorted(found["special_tokens"], key=lambda entry: entry["rank"])]
        size = found["config"]["default_vocab_size"] - len(special)
        ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in found["vocab"][:size]}
        words = found["config"]["pattern"]
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"no tekken vocabulary: {error!r}") from None
    vocabulary = {name: rank for rank, name in enumerate(special)}
    vocabulary |= {_symbols(token): rank + len(special) for token, rank in ranks.items()}
    return BytePairs(_fast(vocabulary, _merges(ranks), words=words, special=special, prefers_whole_words=True))


def _merges(ranks: Mapping[bytes, int]) -> list[tuple[str, str]]:
    """The pairs that make each token, in the order of the tokens' ranks."""
    merges: list[tuple[str, str]] = []
    for token in sorted(ranks, key=lambda token: ranks[token]):
        halves = ((token[:end], token[end:]) for end in range(1, len(token)))
        pairs = [(first, second) for first, second in halves if first in ranks and second in ranks]
        pairs.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        merges += [(_symbols(first), _symbols(second)) for first, second in pairs]
    return merges


def _symbols(token: bytes) -> str:
    symbols = byte_symbols()
    return "".join(symbols[byte] for byte in token)


def _fast(
    vocabulary: dict[str, int],
    merges: list[tuple[str, str]],
    *,
    words: str,
    special: Sequence[str],
    more: Sequence[str] = (),
    prefers_whole_words: bool = False,
) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers  # slow to import
    from tokenizers.models import BPE

    made = Tokenizer(BPE(vocab=vocabulary, merges=merges, fuse_unk=False, ignore_merges=prefers_whole_words))
    if not prefers_whole_words:
        made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    made.add_tokens([AddedToken(name, special=False, normalized=False) for name in more])
    return made
