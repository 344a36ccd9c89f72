"""Secrets that identify a user: how they are generated, written and stored. Only their digests are stored.

All secrets are 256 random bits, so that a plain SHA-256 is enough: there is nothing to guess. Passwords, which can be
guessed, are hashed in ``services/password.py``.
"""

import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import NewType

KeyId = NewType("KeyId", str)

KEY_PREFIX = "comfyui-"
"""The prefix of keys that clients of Comfy Cloud expect."""

_KEY = re.compile(KEY_PREFIX + r"([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODYS_DIGEST = b"\0" * 32


@dataclass(frozen=True, slots=True)
class ApiKey:
    """``text`` is shown once, when the key is made."""

    id: KeyId
    text: str = field(repr=False)


def new_key() -> ApiKey:
    key_id = KeyId(secrets.token_hex(6))
    return ApiKey(key_id, f"{KEY_PREFIX}{key_id}_{new_token()}")


def parse_key(text: str) -> ApiKey | None:
    match = _KEY.fullmatch(text)
    return ApiKey(KeyId(match[1]), text) if match else None


def new_token() -> str:
    """A token for sessions and setup links: 43 characters that need no escaping."""
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def is_secret_of(secret: str, digest: bytes | None) -> bool:
    """Compare in constant time. ``None``, for an unknown id, takes equally long and never matches."""
    is_equal = compare_digest(digest_of(secret), _NOBODYS_DIGEST if digest is None else digest)
    return is_equal and digest is not None
