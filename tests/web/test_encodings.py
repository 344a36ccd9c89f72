import gzip

import brotli
import pytest
import zstandard

from safelight.web.encodings import ENCODINGS, accepted_encodings, is_compressible

UNDO = {"zstd": zstandard.decompress, "br": brotli.decompress, "gzip": gzip.decompress}


@pytest.mark.parametrize("name", ENCODINGS)
def test_both_levels_give_the_body_back(name: str) -> None:
    body = b"const safelight = 'a lamp that spoils nothing'\n" * 500
    encoding = ENCODINGS[name]
    assert UNDO[name](encoding.quick(body)) == UNDO[name](encoding.thorough(body)) == body
    assert len(encoding.quick(body)) < len(body) / 10


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, ()),
        ("", ()),
        ("identity", ()),
        ("gzip, deflate", ("gzip",)),
        ("gzip, deflate, br, zstd", ("zstd", "br", "gzip")),
        ("GZIP;q=0.5 , br ; q=0", ("gzip",)),
        ("*", ("zstd", "br", "gzip")),
        ("*;q=0, br", ("br",)),
        ("br;q=nonsense, gzip", ("gzip",)),
    ],
)
def test_what_a_client_accepts(header: str | None, expected: tuple[str, ...]) -> None:
    assert accepted_encodings(header) == expected


def test_only_large_text_is_compressible() -> None:
    assert is_compressible("text/javascript; charset=utf-8", 2000)
    assert not is_compressible("text/javascript; charset=utf-8", 200)
    assert not is_compressible("image/webp", 200_000)
