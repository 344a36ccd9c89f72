"""Alembic's revisions. ``config`` is all that its commands need; ``scripts`` may pass an own connection."""

from pathlib import Path

from alembic.config import Config
from sqlalchemy import Connection


def config(conn: Connection) -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    settings.attributes["connection"] = conn
    return settings
