"""Alembic's environment and revisions. ``config`` makes the configuration of its commands for a connection.

* ``env``: runs the revisions on that connection.
* ``versions/``: the revisions.
"""

from pathlib import Path

from alembic.config import Config
from sqlalchemy import Connection


def config(conn: Connection) -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    settings.attributes["connection"] = conn
    return settings
