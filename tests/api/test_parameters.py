"""Query and path parameters."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.api.contract import Parameter
from safelight.api.parameters import InvalidParameter, decode_path, decode_query

LIMIT = Parameter("limit", type="integer", default=20, minimum=1, maximum=500)
TAGS = Parameter("tags", type="array")


def decode(parameter: Parameter, query: str) -> Any:
    return decode_query([parameter], query.encode())[parameter.name]


@pytest.mark.parametrize(
    ("parameter", "query", "value"),
    [
        (LIMIT, "", 20),
        (LIMIT, "other=1", 20),
        (LIMIT, "limit=500", 500),
        (LIMIT, "limit=%31", 1),
        (LIMIT, "limit=2&limit=3", 2),
        (Parameter("b", type="boolean", default=True), "b=False", False),
        (Parameter("b", type="boolean"), "b=1", True),
        (Parameter("s"), "s=a+b%20c", "a b c"),
        (Parameter("s"), "s=", ""),
        (Parameter("s"), "", None),
        (Parameter("s", enum=("a", "b")), "s=b", "b"),
        (TAGS, "", []),
        (TAGS, "tags=", []),
        (TAGS, "tags=a,b", ["a", "b"]),
        (TAGS, "tags=a&tags=b,c", ["a", "b", "c"]),
        (TAGS, "tags=a%2Cb", ["a", "b"]),
        (TAGS, "tags=a%2Cb,c", ["a,b", "c"]),
        (Parameter("at", format="date-time"), "at=2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (Parameter("at", format="date-time"), "at=2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_decoded(parameter: Parameter, query: str, value: object) -> None:
    assert decode(parameter, query) == value


@pytest.mark.parametrize(
    ("parameter", "query"),
    [
        (LIMIT, "limit=0"),
        (LIMIT, "limit=501"),
        (LIMIT, "limit=x"),
        (LIMIT, "limit="),
        (LIMIT, "limit=1.0"),
        (LIMIT, "limit=%D9%A1"),  # an Arabic-Indic 1
        (LIMIT, "limit=" + "9" * 5000),
        (Parameter("b", type="boolean"), "b=maybe"),
        (Parameter("s", enum=("a", "b")), "s=c"),
        (Parameter("s", required=True), "t=1"),
        (Parameter("at", format="date-time"), "at=yesterday"),
    ],
)
def test_refused(parameter: Parameter, query: str) -> None:
    with pytest.raises(InvalidParameter, match=parameter.name):
        decode(parameter, query)


def test_path_pattern() -> None:
    parameter = Parameter("hash", "path", pattern="^blake3:[a-f0-9]{2}$")
    assert decode_path([parameter], {"hash": "blake3:0a"}) == {"hash": "blake3:0a"}
    with pytest.raises(InvalidParameter):
        decode_path([parameter], {"hash": "blake3:0A"})


@given(st.binary(max_size=100))
def test_no_query_breaks_the_decoder(query: bytes) -> None:
    decoded = decode_query([TAGS, Parameter("s")], query)
    assert isinstance(decoded["tags"], list)
