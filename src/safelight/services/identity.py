"""Bearer tokens of an identity provider: JSON Web Tokens, verified with the keys that their issuer publishes.

Only signatures with public keys are accepted: a token can neither choose ``none`` nor pass off a public key as a shared
secret. Keys are fetched in a thread and cached for an hour. A new key id causes another fetch, at most every half
minute regardless of what strangers send.
"""

import asyncio
import logging
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
import msgspec

from safelight.core.clock import Clock
from safelight.core.user import Identity

log = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "ES256", "EdDSA")
MAX_TOKEN = 16 * 1024
FETCH_TIMEOUT_S = 10.0
KEEP_S, PAUSE_S = 3600.0, 30.0
LEEWAY_S = 30
_LARGEST_SET = 1024 * 1024


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The identity that a token proves, and when the token expires."""

    identity: Identity
    expires_at: datetime


class TokenVerifier:
    """Mutable: the issuer's keys by id, and when they were last requested."""

    def __init__(
        self, clock: Clock, *, issuer: str, audience: str, jwks_url: str, may_omit_key_id: bool = False
    ) -> None:
        """``may_omit_key_id``: tokens need no key id while the issuer publishes one key (OpenID Connect Core 1.0,
        10.1)."""
        self._may_omit_key_id = may_omit_key_id
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self._jwks_url = jwks_url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at_s = self._requested_at_s = float("-inf")
        self._fetching = asyncio.Lock()

    async def verify(self, token: str) -> VerifiedToken | None:
        """``None`` for anything that is not a valid token of the issuer for the audience. Never raises, never logs the
        token."""
        claims = await self.claims(token, required=("exp", "iss", "aud", "sub"))
        try:
            return self._verified(claims) if claims is not None else None
        except (ValueError, OverflowError, OSError):
            return None

    async def claims(self, token: str, *, required: Sequence[str]) -> dict[str, Any] | None:
        """The claims of a valid token of the issuer for the audience, with the ``required`` ones among them; else
        ``None``."""
        if len(token) > MAX_TOKEN:
            return None
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            return None
        key_id, algorithm = header.get("kid", "" if self._may_omit_key_id else None), header.get("alg")
        if not isinstance(key_id, str) or algorithm not in ALGORITHMS:
            return None
        key = await self._key(key_id)
        if key is None or key.algorithm_name != algorithm:
            return None
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={"require": [*required]},
            )
        except (jwt.PyJWTError, ValueError, OverflowError, OSError):
            return None

    def _verified(self, claims: dict[str, Any]) -> VerifiedToken | None:
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            return None
        email = claims.get("email")
        name = email if isinstance(email, str) and claims.get("email_verified") is True else ""
        identity = Identity(issuer=self._issuer, subject=subject, name=name)
        return VerifiedToken(identity, datetime.fromtimestamp(int(claims["exp"]) + LEEWAY_S, UTC))

    async def _key(self, key_id: str) -> jwt.PyJWK | None:
        if key_id in self._keys and not self._is_older(self._fetched_at_s, KEEP_S):
            return self._keys[key_id]
        async with self._fetching:
            is_due = key_id not in self._keys or self._is_older(self._fetched_at_s, KEEP_S)
            if is_due and self._is_older(self._requested_at_s, PAUSE_S):
                await self._fetch()
        if key_id == "" and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def _fetch(self) -> None:
        """Fetch the keys. The known keys stay if the issuer cannot be reached: it may be down for more than an hour."""
        self._requested_at_s = self._clock.monotonic_s()
        try:
            self._keys = await asyncio.to_thread(_read_keys, self._jwks_url)
            self._fetched_at_s = self._clock.monotonic_s()
        except (OSError, ValueError, jwt.PyJWTError) as error:
            log.warning("the keys of %s could not be read: %s", self._jwks_url, error)

    def _is_older(self, at_s: float, age_s: float) -> bool:
        return self._clock.monotonic_s() - at_s > age_s


def _read_keys(url: str) -> dict[str, jwt.PyJWK]:
    with urllib.request.urlopen(url, timeout=FETCH_TIMEOUT_S) as response:
        body = response.read(_LARGEST_SET + 1)
    if len(body) > _LARGEST_SET:
        raise ValueError(f"the response has more than {_LARGEST_SET} bytes")
    document = msgspec.json.decode(body)
    listed = document.get("keys") if isinstance(document, dict) else None
    keys: dict[str, jwt.PyJWK] = {}
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and entry.get("kty") in ("RSA", "EC", "OKP") and isinstance(entry.get("kid"), str):
            try:
                keys[entry["kid"]] = jwt.PyJWK(entry)
            except jwt.PyJWTError:
                continue  # of a type that is not used
    return keys
