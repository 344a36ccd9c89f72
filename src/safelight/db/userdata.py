"""Rows of userdata: a user's small files, such as saved workflows, by path."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select, update

from safelight.core.ids import UserId
from safelight.db.tables import userdata
from safelight.db.upsert import insert


@dataclass(frozen=True, slots=True)
class UserFile:
    """A file without its content. ``path``: such as ``a/b.json``; ``size``: in bytes."""

    path: str
    size: int
    created_at: datetime
    modified_at: datetime


_INFO = (userdata.c.path, userdata.c.size, userdata.c.created_at, userdata.c.modified_at)
_ONE = (userdata.c.owner_id == bindparam("owner"), userdata.c.path == bindparam("at"))
_FIND = select(*_INFO).where(*_ONE)
_CONTENT = select(userdata.c.content).where(*_ONE)
_BELOW = select(*_INFO).where(
    userdata.c.owner_id == bindparam("owner"), userdata.c.path >= bindparam("low"), userdata.c.path < bindparam("high")
)
_ALL = select(*_INFO).where(userdata.c.owner_id == bindparam("owner"))


def find(conn: Connection, owner_id: UserId, *, path: str) -> UserFile | None:
    row = conn.execute(_FIND, {"owner": owner_id, "at": path}).one_or_none()
    return UserFile(*row) if row else None


def content(conn: Connection, owner_id: UserId, *, path: str) -> bytes | None:
    return conn.execute(_CONTENT, {"owner": owner_id, "at": path}).scalar_one_or_none()


def below(conn: Connection, owner_id: UserId, *, directory: str) -> list[UserFile]:
    """Every file under ``directory`` (``""`` is the root), by path."""
    if not directory:
        rows = conn.execute(_ALL.order_by(userdata.c.path), {"owner": owner_id})
    else:
        # "0" is the character after "/", so paths that begin with "directory/" sort between the two bounds.
        bounds = {"low": f"{directory}/", "high": f"{directory}0"}
        rows = conn.execute(_BELOW.order_by(userdata.c.path), {"owner": owner_id, **bounds})
    return [UserFile(*row) for row in rows]


def put(conn: Connection, owner_id: UserId, *, path: str, data: bytes, now: datetime) -> None:
    """Create or overwrite a file. An existing file keeps its time of creation."""
    statement = insert(conn, userdata).values(
        owner_id=owner_id, path=path, size=len(data), created_at=now, modified_at=now, content=data
    )
    changed = {name: statement.excluded[name] for name in ("size", "modified_at", "content")}
    conn.execute(statement.on_conflict_do_update(index_elements=["owner_id", "path"], set_=changed))


def move(conn: Connection, owner_id: UserId, *, path: str, to: str) -> None:
    where = (userdata.c.owner_id == owner_id, userdata.c.path == path)
    conn.execute(update(userdata).where(*where).values(path=to))


def remove(conn: Connection, owner_id: UserId, *, path: str) -> bool:
    return conn.execute(delete(userdata).where(*_ONE), {"owner": owner_id, "at": path}).rowcount == 1
