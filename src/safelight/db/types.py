"""Column types for the values of ``core/``, from types that SQLite and PostgreSQL both have."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Integer, LargeBinary, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from safelight.core.clock import from_ms, to_ms
from safelight.core.digest import Digest, Sha256Digest

RowId = BigInteger().with_variant(Integer, "sqlite")
"""A row's number, which increases with time. (SQLite assigns numbers only to columns of type INTEGER.)"""


class Moment(TypeDecorator[datetime]):
    """An aware UTC time, as milliseconds since the epoch."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_ms(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_ms(value)


class Json(TypeDecorator[Any]):
    """Plain data as JSON text, read back as it was. ``None`` is SQL's NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else encode_json(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else decode_json(value)


class Blake3(TypeDecorator[Digest]):
    """A digest as its 32 bytes."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: Digest | None, dialect: Dialect) -> bytes | None:
        return None if value is None else bytes.fromhex(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Digest | None:
        return None if value is None else Digest(bytes(value).hex())


class Sha256(TypeDecorator[Sha256Digest]):
    """A digest as its 32 bytes."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: Sha256Digest | None, dialect: Dialect) -> bytes | None:
        return None if value is None else bytes.fromhex(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Sha256Digest | None:
        return None if value is None else Sha256Digest(bytes(value).hex())


def encode_json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell and UTF-8 cannot
        import json

        return json.dumps(value, separators=(",", ":")).encode()


def decode_json(text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        import json

        return json.loads(text)
