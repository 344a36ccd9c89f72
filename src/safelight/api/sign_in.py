"""Signing in with a password: slow hashes, a few at a time in threads, and limits on wrong attempts."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import TypeVar

from safelight.api.error_responses import Unauthenticated
from safelight.core.clock import Clock
from safelight.core.user import Account, QuotaReached, check_password
from safelight.db.engine import Database
from safelight.services import session as sessions
from safelight.services.password import hash_password, is_password

T = TypeVar("T")

WINDOW_S = 300.0
WRONG_PER_NAME, WRONG_PER_ADDRESS = 10, 50
"""Wrong attempts in a window: for one name from one address, and for all names from one address. There is no limit for
a name from all addresses: anybody could then lock out anybody else."""
_HASHING_AT_A_TIME = 2  # 64 MiB each
_MOST_WAITING = 32
"""Sign-ins that wait for a hash. At a few tenths of a second each, more would wait for many seconds."""
_MAX_REMEMBERED = 10_000


class TooManyAttempts(QuotaReached):
    code = "too_many_attempts"


class WrongPassword(Unauthenticated):
    """The same error for an unknown name, a disabled user and a wrong password."""

    @property
    def message(self) -> str:
        return "the name or the password is wrong"


@dataclass(slots=True)
class _Failures:
    at_s: deque[float] = field(default_factory=deque)


class SignIn:
    """Mutable: the times of recent failed attempts, by name and address."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._failures: dict[tuple[str, str], _Failures] = {}
        self._hashing = asyncio.Semaphore(_HASHING_AT_A_TIME)
        self._waiting = 0

    async def check(self, *, name: str, password: str, address: str) -> Account:
        """Raises :class:`WrongPassword` or :class:`TooManyAttempts`."""
        name, address = name.strip().lower(), _network_of(address)
        marks = ((name, address, WRONG_PER_NAME), ("", address, WRONG_PER_ADDRESS))
        self.refuse_too_many(*marks)
        # Counted before the slow part, so that concurrent attempts are limited; taken back if the password was right.
        taken = [self._count(name, address) for name, address, _ in marks]
        found = await self._db.read(lambda tx: sessions.find_password(tx, name=name))
        is_right = await self._hash(is_password, password, found[1] if found else None)
        if found is None or not is_right:
            raise WrongPassword
        for failures in taken:
            failures.at_s.pop()
        return found[0]

    async def hash(self, password: str) -> str:
        check_password(password)
        return await self._hash(hash_password, password)

    async def _hash(self, fn: Callable[..., T], *args: object) -> T:
        if self._waiting >= _MOST_WAITING:
            raise TooManyAttempts("too many sign-ins at the moment; try again in 5 s", retry_after_s=5)
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(fn, *args)
        finally:
            self._waiting -= 1

    def count_wrong(self, *, address: str) -> None:
        self._count("", _network_of(address))

    def refuse_too_many(self, *marks: tuple[str, str, int]) -> None:
        """Raise :class:`TooManyAttempts` if a limit is reached. Each mark: name, address, allowed failures."""
        now_s = self._clock.monotonic_s()
        for name, address, allowed in marks:
            failures = self._failures.get((name, _network_of(address)))
            while failures and failures.at_s and failures.at_s[0] <= now_s - WINDOW_S:
                failures.at_s.popleft()
            if failures and len(failures.at_s) >= allowed:
                wait_s = int(failures.at_s[0] + WINDOW_S - now_s) + 1
                raise TooManyAttempts(f"too many attempts; try again in {wait_s} s", retry_after_s=wait_s)

    def _count(self, name: str, address: str) -> _Failures:
        if len(self._failures) >= _MAX_REMEMBERED:
            self._forget_old()
        failures = self._failures.setdefault((name[:100], address), _Failures())
        failures.at_s.append(self._clock.monotonic_s())
        return failures

    def _forget_old(self) -> None:
        newest_first = sorted(self._failures.items(), key=lambda item: max(item[1].at_s, default=0.0), reverse=True)
        self._failures = dict(newest_first[: _MAX_REMEMBERED // 2])


def _network_of(address: str) -> str:
    """The /64 network of an IPv6 address: its owner has all 2**64 addresses. Other addresses are returned unchanged."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address) or parsed.ipv4_mapped:
        return address
    return str(IPv6Address(int(parsed) >> 64 << 64))
