"""An installation of an earlier version, as that version left it: ``fixtures/schema-NNNN.tar.xz`` holds its database
and its stored files. It is never changed; a new one is added when a release has a new schema.
"""

import random
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.faults.ledger import Ledger
from tests.faults.site import PATIENCE_S, Site

from safelight.db import migrate, sqlite

FIXTURES = sorted((Path(__file__).parents[1] / "db" / "fixtures").glob("schema-*.tar.xz"))
NOTE, PICTURE = b"an old note", "red.png"

_DIE_AT = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from safelight.db import migrate, sqlite

left = int(sys.argv[2])

@event.listens_for(Engine, "before_cursor_execute")
def count(conn, cursor, statement, parameters, context, executemany):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

migrate.to_head(sqlite.create(f"sqlite:///{sys.argv[1]}"))
"""


def unpack(fixture: Path, folder: Path) -> Path:
    with tarfile.open(fixture) as archive:
        archive.extractall(folder, filter="data")
    return folder


def half_migrated(fixture: Path, folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """``kill -9`` at any statement of a migration: the database stays the old one, until a migration is let finish."""
    database = unpack(fixture, folder) / "safelight.db"
    old = _revision(database)
    statement = 0
    while _migrate(database, die_at=statement) == -signal.SIGKILL:
        assert _revision(database) == old, f"half migrated at statement {statement}"
        ledger.injected("kill -9 inside a migration")
        statement += rng.randrange(1, 12)
    assert statement > 0
    assert _revision(database) == migrate.HEAD


def read_back(fixture: Path, folder: Path) -> None:
    """Everything that the earlier version's users had, through the server of today."""
    with Site(unpack(fixture, folder), workers=1).start() as site:
        assets = {asset["name"]: asset for asset in site.request("GET", "/api/assets").json["assets"]}
        assert {"notes.txt", PICTURE} <= set(assets)
        assert site.request("GET", f"/api/assets/{assets['notes.txt']['id']}/content").body == NOTE
        assert site.view(PICTURE, folder="input").body.startswith(b"\x89PNG")
        states = [job["status"] for job in site.request("GET", "/api/jobs").json["jobs"]]
        assert sorted(states) == ["completed", "completed"]
        [made] = [name for name in assets if name.startswith("old_")]
        assert site.view(made, folder="output").body.startswith(b"\x89PNG")
        assert site.request("GET", "/api/userdata/workflows%2Fold.json").json == {"nodes": []}
        assert site.request("GET", "/api/settings").json["Old.Setting"] == 7
        workflows = site.request("GET", "/api/workflows").json
        assert "an old workflow" in str(workflows)


def _migrate(database: Path, *, die_at: int) -> int:
    command = [sys.executable, "-c", _DIE_AT, str(database), str(die_at)]
    return subprocess.run(command, timeout=PATIENCE_S, capture_output=True).returncode


def _revision(database: Path) -> str:
    with sqlite.create(f"sqlite:///{database}").connect() as conn:
        return str(conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())
