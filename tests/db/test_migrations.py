"""A first start creates the schema directly, later ones migrate: both must have the same result."""

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from safelight.core.errors import Unavailable
from safelight.db import migrate, sqlite, tables
from safelight.db.migrations import config


def differences(conn: Connection) -> list[object]:
    """Differences between the tables in the code and in the database, without FTS5's internal tables."""
    opts = {"include_name": lambda name, kind, parents: not (kind == "table" and name.startswith("asset_name"))}
    return compare_metadata(MigrationContext.configure(conn, opts=opts), tables.metadata)


def schema(conn: Connection) -> dict[str, str]:
    rows = conn.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%' AND sql IS NOT NULL"
    )
    return {name: "".join(sql.split()).replace('"', "") for name, sql in rows}


def test_the_newest_revision_is_the_expected_head(tmp_path: Path) -> None:
    engine = sqlite.create(f"sqlite:///{tmp_path}/unused.db")
    with engine.connect() as conn:
        assert ScriptDirectory.from_config(config(conn)).get_heads() == [migrate.HEAD]


def test_the_revisions_lead_to_the_tables(tmp_path: Path) -> None:
    made = sqlite.create(f"sqlite:///{tmp_path}/made.db")
    migrate.to_head(made)
    migrated = sqlite.create(f"sqlite:///{tmp_path}/migrated.db")
    with migrated.connect() as conn:
        command.upgrade(config(conn), "head")
        assert differences(conn) == []
        with made.connect() as other:
            assert sorted(schema(conn)) == sorted(schema(other))
            indexes = {name: sql for name, sql in schema(conn).items() if sql.startswith("CREATEINDEX")}
            assert indexes == {name: sql for name, sql in schema(other).items() if name in indexes}
            assert len(indexes) > 10
        command.downgrade(config(conn), "base")
        assert schema(conn) == {}
        command.upgrade(config(conn), "head")


def test_an_older_database_is_migrated(tmp_path: Path) -> None:
    engine = sqlite.create(f"sqlite:///{tmp_path}/old.db")
    with engine.connect() as conn:
        conn.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")  # before the first
    migrate.to_head(engine)
    with engine.connect() as conn:
        assert differences(conn) == []
    migrate.to_head(engine)


def test_a_database_of_a_newer_safelight_is_left_alone(tmp_path: Path) -> None:
    engine = sqlite.create(f"sqlite:///{tmp_path}/new.db")
    migrate.to_head(engine)
    with engine.connect() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        before = schema(conn)
    with pytest.raises(Unavailable, match="newer Safelight"):
        migrate.to_head(engine)
    with engine.connect() as conn:
        assert schema(conn) == before


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE bookmarks (id)")
    other.close()
    with pytest.raises(Unavailable, match="bookmarks"):
        migrate.to_head(sqlite.create(f"sqlite:///{tmp_path}/other.db"))


def test_an_interrupted_first_start_leaves_an_empty_database(tmp_path: Path) -> None:
    """Everything is one transaction: until it commits, another start finds an empty file."""
    engine = sqlite.create(f"sqlite:///{tmp_path}/cut.db")
    with engine.connect() as conn:
        sqlite.run(conn, "BEGIN IMMEDIATE")
        tables.metadata.create_all(conn)
    migrate.to_head(engine)
    with engine.connect() as conn:
        assert differences(conn) == []
