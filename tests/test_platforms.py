"""Systems without Linux's calls, and machines without the wheels that Linux has."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.client import submit, wait_for_all
from tests.cli.server import wait_for_nodes

from safelight.core.errors import Unavailable
from safelight.db import sqlite_driver

WITHOUT_UNIX = """
import ctypes, importlib, pkgutil, sys
PACKAGES = ("core graph wire blobs sandbox db bus services dispatch telemetry api cli settings").split()
def import_all():
    for package in PACKAGES:
        module = importlib.import_module(f"safelight.{package}")
        for found in pkgutil.walk_packages(module.__path__, f"safelight.{package}."):
            if not found.name.endswith((".ray_cluster", "__main__")) and ".migrations" not in found.name:
                importlib.import_module(found.name)
    importlib.import_module("safelight.app")
import_all()  # the libraries, which have modules of their own for other systems
for name in [name for name in sys.modules if name.split(".")[0] in ("safelight", "uvloop", "pysqlite3")]:
    del sys.modules[name]
for name in ("fcntl", "resource", "pwd", "grp", "uvloop", "pysqlite3"):
    sys.modules[name] = None
sys.platform = "some system"
class NoLibrary:
    def __init__(self, *_, **__): raise OSError("there is no such library")
ctypes.CDLL = NoLibrary
import builtins
real = builtins.open
def guarded(path, *rest, **more):
    assert not str(path).startswith("/proc"), path
    return real(path, *rest, **more)
builtins.open = guarded
import_all()
print(len(sys.modules))
"""


def test_the_server_is_imported_without_anything_of_unix() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_UNIX], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 300


def test_pythons_own_sqlite_must_be_new_enough() -> None:
    code = "import sys; sys.modules['pysqlite3'] = None\nfrom safelight.db.sqlite_driver import driver\ndriver()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    if sqlite3.sqlite_version_info >= sqlite_driver.OLDEST:
        assert done.returncode == 0, done.stderr
    else:
        assert f"SQLite {sqlite3.sqlite_version} is too old: 3.43.0 or later is needed" in done.stderr
        assert Unavailable.__name__ in done.stderr


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
    ],
)
def test_versions_with_the_bug_of_the_write_ahead_log_are_known(version: tuple[int, ...], expected: bool) -> None:
    assert sqlite_driver.is_sound(version) is expected


def test_a_server_runs_on_pythons_own_event_loop(tmp_path: Path) -> None:
    code = "import sys; sys.modules['uvloop'] = None; from safelight.cli.main import main; main()"
    words = [sys.executable, "-c", code, "serve", "--port", "0", "--data-dir", str(tmp_path)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SAFELIGHT_")}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**kept, "SAFELIGHT_WEB": "0"}) as process:
        assert process.stdout is not None
        try:
            url = next(line for line in process.stdout if "Safelight is at" in line).split()[3]
            wait_for_nodes(url)
            submit(url, "x")
            [job] = wait_for_all(url, 1)
            assert job["status"] == "completed"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0


KEEPER = """
import os, sys
from safelight.sandbox.keeper import keep_plainly
reading, writing = os.pipe()
keep_plainly(sys.argv[2:], fd=writing, parent=int(sys.argv[1]))
"""
ENGINE = "import sys, time; print(sys.argv[1:], flush=True); time.sleep({sleep}); sys.exit({status})"


def keeper(parent: int, *, sleep: float, status: int = 0) -> "subprocess.Popen[str]":
    engine = [sys.executable, "-c", ENGINE.format(sleep=sleep, status=status)]
    words = [sys.executable, "-c", KEEPER, str(parent), *engine]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_a_plain_keeper_ends_as_its_engine_does_and_says_what_is_missing() -> None:
    with keeper(os.getpid(), sleep=0, status=75) as process:
        shown, _ = process.communicate(timeout=60)
        assert process.returncode == 75
    assert "--unkept" in shown
    assert "may stay" in shown


def test_a_plain_keeper_ends_its_engine_on_request_and_when_the_server_has_gone() -> None:
    with keeper(os.getpid(), sleep=600) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == -signal.SIGKILL
    begun = time.monotonic()
    with keeper(1, sleep=600) as orphan:  # its parent is this process, not the "server" that it watches
        assert orphan.wait(timeout=30) == -signal.SIGKILL
    assert time.monotonic() - begun < 20
