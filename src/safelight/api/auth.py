"""Who asks. The kernel asks an :class:`Authenticator` once per request and per socket; handlers see a principal."""

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
"""How old the knowledge of accounts may be: so long a credential that a command took away may go on."""
_MAX_KNOWN = 4096


class Authenticator(Protocol):
    """Law: a credential that is present but wrong answers ``None``, as none at all does."""

    async def is_open(self) -> bool:
        """Whether whoever reaches the server is its local user."""
        ...

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """The caller, by any of the contract's schemes; a session is as good as a key everywhere (HTTP-21)."""
        ...

    async def changed(self) -> None:
        """Returns when credentials may have been taken away, so that what stays open asks again."""
        ...

    async def follow(self) -> None:
        """Runs for ever, for the sake of :meth:`changed`."""
        ...


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request shows. ``kind``: ``key``, ``token`` (of an identity provider) or ``session``."""

    kind: str
    secret: str


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    expires_at: datetime | None


class AccountAuthenticator:
    """Keys, sessions and, where there are no accounts and that is allowed, the local user.

    Mutable: what it has found of credentials, until anything changes that ``services/account_revision.py`` counts.
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
    ) -> None:
        self._db = db
        self._clock = clock
        self._may_be_open = may_be_open
        self._tokens = tokens
        self._creates_users = creates_users
        self._state = account_revision.AccountState(-1, has_accounts=True)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._stale_at_s = clock.monotonic_s()
        self._bus = bus
        self._changes_heard = 0
        self._heard_before = 0
        self._looking = asyncio.Lock()
        self._change = asyncio.Event()
        bus.subscribe(self._hear)

    async def is_open(self) -> bool:
        await self.refresh()
        return self._may_be_open and not self._state.has_accounts

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        if await self.is_open():
            return LOCAL_PRINCIPAL
        credential = find_credential(connection)
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
        """Look whether anything changed, unless that was done a moment ago."""
        if self._is_fresh:
            return
        async with self._looking:
            if self._is_fresh:
                return
            heard = self._changes_heard
            state = await self._db.read(account_revision.read)
            if heard == self._changes_heard:
                self._stale_at_s = self._clock.monotonic_s() + RECHECK_S
            if state != self._state:
                if heard == self._heard_before and self._state.revision >= 0:
                    self._bus.publish([AccessChanged()])  # a command did it, in a process of its own
                self._state = state
                self._known.clear()
                self._change.set()
                self._change = asyncio.Event()
            self._heard_before = heard

    async def follow(self) -> None:
        """Look once a second for ever, for the sake of sockets: requests look by themselves."""
        while True:
            await asyncio.sleep(RECHECK_S)
            try:
                await self.refresh()
            except Unavailable as error:
                log.warning("whether accounts changed could not be read: %s", error)

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
        vouched = await self._tokens.verify(credential.secret) if self._tokens else None
        principal = await self._find_user(vouched.identity) if vouched else None
        return _Known(principal, vouched.expires_at) if vouched and principal else None

    async def _find_user(self, identity: Identity) -> Principal | None:
        """The user that an identity provider's token stands for; made now, where that is allowed."""
        principal = await self._db.read(lambda tx: users.authenticate(tx, identity))
        if principal is None and self._creates_users:
            now = self._clock.now()
            principal = await self._db.write(lambda tx: users.welcome(tx, identity, now=now))
        return principal

    def _remember(self, mark: bytes, known: _Known) -> None:
        self._known[mark] = known
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)

    def _hear(self, event: Event) -> None:
        if isinstance(event, AccessChanged | EventsMissed):
            self._changes_heard += 1
            self._stale_at_s = self._clock.monotonic_s()


def find_credential(connection: HTTPConnection) -> Credential | None:
    """The first of: ``X-API-Key``, ``Authorization`` (Bearer, or Basic with any name), ``?token=``, the cookie."""
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
    cookie = connection.cookies.get(COOKIE)
    return Credential("session", cookie) if cookie else None


def _bearer(text: str) -> Credential:
    return Credential("key" if text.startswith(KEY_PREFIX) else "token", text)


def _basic_password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
