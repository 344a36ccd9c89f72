"""Removes every row of a user. What was written about them in the audit stays."""

from sqlalchemy import Connection, delete

from safelight.core.ids import UserId
from safelight.db.tables import account, metadata, user


def remove_all(conn: Connection, user_id: UserId) -> None:
    """The user's rows in all tables, those that refer to others first; tables without an owner follow by their keys."""
    for table in reversed(metadata.sorted_tables):
        if "owner_id" in table.c:
            conn.execute(delete(table).where(table.c.owner_id == user_id))
    conn.execute(delete(account).where(account.c.user_id == user_id))
    conn.execute(delete(user).where(user.c.id == user_id))
