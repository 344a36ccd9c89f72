"""CLIP's byte-pair tokenizer (Radford et al. 2021), with the vocabulary that OpenAI published with CLIP (MIT)."""

import gzip
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START = 49406
END = 49407

_WORD = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
_MERGES = 49152 - 256 - 2


def tokens_of(text: str) -> list[int]:
    """The tokens of a text, without start and end."""
    return tokenizer().encode(text, add_special_tokens=False).ids


@cache
def tokenizer() -> "Tokenizer":
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers  # slow to import
    from tokenizers.models import BPE

    packed = files("safelight.models.data").joinpath("bpe_simple_vocab_16e6.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode().split("\n")[1 : _MERGES + 1]
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    symbols = [byte_symbols()[byte] for byte in byte_order()]
    words = [
        *symbols,
        *(f"{symbol}</w>" for symbol in symbols),
        *("".join(pair) for pair in merges),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    made = Tokenizer(
        BPE(
            vocab={word: index for index, word in enumerate(words)},
            merges=merges,
            end_of_word_suffix="</w>",
            unk_token="<|endoftext|>",
            fuse_unk=False,
        )
    )
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken("<|startoftext|>", special=True), AddedToken("<|endoftext|>", special=True)])
    return made


def byte_order() -> list[int]:
    """Printable bytes come first in the vocabulary."""
    printed = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return printed + [byte for byte in range(256) if byte not in printed]


@cache
def byte_symbols() -> dict[int, str]:
    """A visible character for each byte: the byte itself if it is printable, else one from U+0100 on."""
    order = byte_order()
    printed = sum(1 for byte in order if chr(byte).isprintable() and byte not in (0x20, 0xAD))
    return {byte: chr(byte) if index < printed else chr(256 + index - printed) for index, byte in enumerate(order)}
