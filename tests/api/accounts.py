"""Users with keys on a server under test, and the headers of their requests."""

from collections.abc import Mapping

from tests.api.conftest import Server

from safelight.core.clock import SystemClock
from safelight.core.user import Account, Principal
from safelight.services import key, user
from safelight.services.password import hash_password

PASSWORD = "correct horse battery"
PASSWORD_HASH = hash_password(PASSWORD)


async def add_user(server: Server, name: str, *, is_admin: bool = False, password: bool = False) -> Account:
    now = SystemClock().now()
    password_hash = PASSWORD_HASH if password else None
    return await server.db.write(
        lambda tx: user.add(tx, name=name, is_admin=is_admin, password_hash=password_hash, now=now)
    )


async def add_key(server: Server, name: str) -> str:
    made = await server.db.write(lambda tx: key.create(tx, user_name=name, now=SystemClock().now()))
    return made.text


async def signed_in(server: Server, name: str, *, is_admin: bool = False) -> tuple[Principal, Mapping[str, str]]:
    """A new user, and the headers of their requests."""
    account = await add_user(server, name, is_admin=is_admin)
    return account.principal, {"x-api-key": await add_key(server, name)}
