"""Authentication. An :class:`Authenticator` is called once per request and per socket; handlers get a principal."""

import asyncio
import base64
import binascii
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from starlette.requests import HTTPConnection

from safelight.bus.bus import Bus
from safelight.core.clock import Clock
from safelight.core.credential import KEY_PREFIX, digest_of
from safelight.core.errors import Unavailable
from safelight.core.event import AccessChanged, Event, EventsMissed
from safelight.core.user import LOCAL_PRINCIPAL, Identity, Principal
from safelight.db.engine import Database
from safelight.services import account_revision
from safelight.services import key as keys
from safelight.services import session as sessions
from safelight.services import user as users
from safelight.services.identity import TokenVerifier

log = logging.getLogger(__name__)

COOKIE = "session"
RECHECK_S = 1.0
"""Maximum age of cached account data; a credential that was revoked on the command line may work this much longer."""
_MAX_KNOWN = 4096


class Authenticator(Protocol):
    """Law: a wrong credential and a missing one both give ``None``."""

    async def is_open(self) -> bool:
        """Whether every caller is the local user: the server has no accounts."""
        ...

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """The caller, by any of the contract's schemes; a session works wherever a key does (HTTP-21)."""
        ...

    async def changed(self) -> None:
        """Wait until credentials may have been revoked, so that open sockets authenticate again."""
        ...

    async def follow(self) -> None:
        """Run forever: look for the changes that :meth:`changed` reports."""
        ...


@dataclass(frozen=True, slots=True)
class Credential:
    """The credential of a request. ``kind``: ``key``, ``token`` (of an identity provider) or ``session``."""

    kind: str
    secret: str


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    expires_at: datetime | None


class AccountAuthenticator:
    """Authenticates by keys, sessions and tokens; as the local user where there are no accounts and that is allowed.

    Mutable: the principals of known credentials, which are dropped when the accounts revision changes
    (``services/account_revision.py``).
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        bus: Bus,
        *,
        may_be_open: bool,
        tokens: TokenVerifier | None = None,
        creates_users: bool = False,
        token_header: str = "",
    ) -> None:
        """``token_header``: in which a sign-in proxy sends a signed token with every request."""
        self._token_header = token_header
        self._db = db
        self._clock = clock
        self._may_be_open = may_be_open
        self._tokens = tokens
        self._creates_users = creates_users
        self._state = account_revision.AccountState(-1, has_accounts=True)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._stale_at_s = clock.monotonic_s()
        self._bus = bus
        self._changes = 0
        self._changes_at_refresh = 0
        self._refreshing = asyncio.Lock()
        self._change = asyncio.Event()
        bus.subscribe(self._on_event)

    async def is_open(self) -> bool:
        await self.refresh()
        return self._may_be_open and not self._state.has_accounts

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        if await self.is_open():
            return LOCAL_PRINCIPAL
        credential = find_credential(connection, token_header=self._token_header)
        if credential is None:
            return None
        mark = digest_of(credential.kind + credential.secret)
        known = self._known.get(mark)
        if known is None:
            revision = self._state.revision
            known = await self._look_up(credential)
            if known is None:
                return None
            if revision == self._state.revision:
                self._remember(mark, known)
        if known.expires_at is not None and known.expires_at <= self._clock.now():
            self._known.pop(mark, None)
            return None
        return known.principal

    async def changed(self) -> None:
        await self._change.wait()

    async def refresh(self) -> None:
        """Read the accounts revision, unless that was done less than :data:`RECHECK_S` ago."""
        if self._is_fresh:
            return
        async with self._refreshing:
            if self._is_fresh:
                return
            changes = self._changes
            state = await self._db.read(account_revision.read)
            if changes == self._changes:
                self._stale_at_s = self._clock.monotonic_s() + RECHECK_S
            if state != self._state:
                if changes == self._changes_at_refresh and self._state.revision >= 0:
                    self._bus.publish([AccessChanged()])  # a command made the change, in another process
                self._state = state
                self._known.clear()
                self._change.set()
                self._change = asyncio.Event()
            self._changes_at_refresh = changes

    async def follow(self) -> None:
        """Refresh once a second, for open sockets: requests refresh by themselves."""
        while True:
            await asyncio.sleep(RECHECK_S)
            try:
                await self.refresh()
            except Unavailable as error:
                log.warning("the accounts revision could not be read: %s", error)

    @property
    def _is_fresh(self) -> bool:
        return self._clock.monotonic_s() < self._stale_at_s

    async def _look_up(self, credential: Credential) -> _Known | None:
        if credential.kind == "key":
            principal = await self._db.read(lambda tx: keys.authenticate(tx, credential.secret))
            return _Known(principal, None) if principal else None
        if credential.kind == "session":
            now = self._clock.now()
            session = await self._db.read(lambda tx: sessions.authenticate(tx, credential.secret, now=now))
            return _Known(session.principal, session.expires_at) if session else None
        verified = await self._tokens.verify(credential.secret) if self._tokens else None
        principal = await self._find_user(verified.identity) if verified else None
        return _Known(principal, verified.expires_at) if verified and principal else None

    async def _find_user(self, identity: Identity) -> Principal | None:
        """The user of an identity; created now if that is allowed."""
        principal = await self._db.read(lambda tx: users.authenticate(tx, identity))
        if principal is None and self._creates_users:
            now = self._clock.now()
            principal = await self._db.write(lambda tx: users.authenticate_or_create(tx, identity, now=now))
        return principal

    def _remember(self, mark: bytes, known: _Known) -> None:
        self._known[mark] = known
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, AccessChanged | EventsMissed):
            self._changes += 1
            self._stale_at_s = self._clock.monotonic_s()


def find_credential(connection: HTTPConnection, *, token_header: str = "") -> Credential | None:
    """The first of: ``X-API-Key``, ``Authorization`` (Bearer, or Basic with any name), ``?token=``, the token of a
    sign-in proxy, the cookie."""
    headers: Mapping[str, str] = connection.headers
    if (key := headers.get("x-api-key")) is not None:
        return Credential("key", key.strip())
    if (value := headers.get("authorization")) is not None:
        scheme, _, rest = value.partition(" ")
        if scheme.lower() == "bearer":
            return _bearer(rest.strip())
        return _bearer(_basic_password(rest)) if scheme.lower() == "basic" else Credential("key", "")
    if token := connection.query_params.get("token"):
        return _bearer(token)
    if token_header and (token := headers.get(token_header)):
        return Credential("token", token.strip())
    cookie = connection.cookies.get(COOKIE)
    return Credential("session", cookie) if cookie else None


def _bearer(text: str) -> Credential:
    return Credential("key" if text.startswith(KEY_PREFIX) else "token", text)


def _basic_password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
