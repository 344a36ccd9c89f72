"""A real PostgreSQL server for tests: a cluster in a temporary folder, on a socket and a free port of loopback.

Debian keeps the server's programs away from the path (``/usr/lib/postgresql/15/bin``). The server refuses to run as
root, so that root starts it as the account that Debian's package made for it.
"""

import asyncio
import atexit
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from safelight.db.engine import Database

_ACCOUNT = "postgres"
_TEMPLATE = "safelight_template"


def find_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; ``None`` if PostgreSQL is not installed."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


@cache
def shared_server() -> str:
    """The URL of a server that all tests of this process share; the first call starts it."""
    stack = ExitStack()
    url = stack.enter_context(server())
    atexit.register(stack.close)
    return url


@cache
def url_of(folder: Path) -> str:
    """The URL of a database that takes the place of a SQLite file in ``folder``: with tables, without rows."""
    _make_template()
    return create_database(shared_server(), _name_of(folder), template=_TEMPLATE)


def _name_of(folder: Path) -> str:
    return f"t_{hashlib.blake2b(str(folder).encode(), digest_size=12).hexdigest()}"


@cache
def _make_template() -> None:
    """A template, because creating the tables takes longer than copying them."""
    url = create_database(shared_server(), _TEMPLATE)

    async def make() -> None:
        await (await Database.open(url, on_commit=lambda events: None)).close()

    making = threading.Thread(target=lambda: asyncio.run(make()))  # the caller may run in an event loop
    making.start()
    making.join()


@contextmanager
def server(*, fsync: bool = False) -> Iterator[str]:
    """``postgresql://postgres@127.0.0.1:PORT``; callers append the name of a database.

    Tests do not unplug the machine: without ``fsync`` they wait for no disk.
    """
    programs = find_programs()
    assert programs is not None
    account = _ACCOUNT if os.geteuid() == 0 else None
    with TemporaryDirectory(prefix="safelight-pg-") as folder:
        if account:
            shutil.chown(folder, account)
        data = Path(folder) / "data"
        words: list[str | Path] = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]
        words += ["-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(words, user=account, cwd=folder, check=True, capture_output=True)
        port = _free_port()
        options = (
            f"fsync={'on' if fsync else 'off'}",
            "autovacuum=off",  # it would change plans while tests check them
            "max_connections=200",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={folder}",
        )
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
        command += [word for option in options for word in ("-c", option)]
        log = (Path(folder) / "log").open("wb")
        process = subprocess.Popen(command, user=account, cwd=folder, stdout=log, stderr=log)
        try:
            _wait_until_ready(programs, port)
            yield f"postgresql://postgres@127.0.0.1:{port}"
        finally:
            _end(process)
            log.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """SIGINT is a fast shutdown; at SIGTERM the server would wait for its clients."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)  # its children end with it; a SIGKILL would leave them
        process.wait(timeout=20)


def create_database(server_url: str, name: str, *, template: str = "template0") -> str:
    """The URL of a new database."""
    _run(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return f"{server_url}/{name}"


def drop_database(server_url: str, name: str) -> None:
    _run(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def dump(url: str) -> bytes:
    """All rows, as text."""
    programs = find_programs()
    assert programs is not None
    return subprocess.run([programs / "pg_dump", "--data-only", url], check=True, capture_output=True).stdout


def execute(url: str, statement: str) -> str:
    """The output of ``psql``, one line per row."""
    programs = find_programs()
    assert programs is not None
    words = [str(programs / "psql"), url, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def _run(server_url: str, statement: str) -> None:
    execute(f"{server_url}/postgres", statement)


def _wait_until_ready(programs: Path, port: int) -> None:
    deadline = time.monotonic() + 30
    while subprocess.run([programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode:
        assert time.monotonic() < deadline, "PostgreSQL did not start within 30 s"
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
