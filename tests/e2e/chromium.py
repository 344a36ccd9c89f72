"""Chromium, on a leash: neither it nor its driver can hold the tests for ever.

Playwright waits without a limit for its driver to start and to end, and so do a few calls to a page. A machine that is
busy or paused has let each of these wait until somebody came to look."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Playwright, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
]
"""Tests run as root in containers, where Chromium's sandbox cannot work and /dev/shm is small; nothing but the server
under test is to be asked for anything."""

START_LIMIT_S = 60.0
USE_LIMIT_S = 240.0
END_LIMIT_S = 20.0
_TRIES = 3

once_more_if_it_died = pytest.mark.flaky(reruns=1, only_rerun="TargetClosedError")
"""Mark of the tests of this folder. A browser that died or hung says nothing of the server; whatever else fails is not
tried again."""


def find() -> str | None:
    """The system's browser: the one that playwright would bring is not needed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@contextmanager
def started(path: str) -> Iterator[Browser]:
    """A browser for one test. Who uses it for longer than ``USE_LIMIT_S`` gets an error out of the call that waits."""
    playwright, browser = _start(path)
    try:
        with _killed_after(USE_LIMIT_S):
            yield browser
    finally:
        with _killed_after(END_LIMIT_S):
            with suppress(Error):
                browser.close()
            playwright.stop()


def _start(path: str) -> tuple[Playwright, Browser]:
    failures: list[str] = []
    for _ in range(_TRIES):
        with _killed_after(START_LIMIT_S):
            playwright: Playwright | None = None
            try:
                playwright = sync_playwright().start()
                return playwright, playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            except Exception as error:  # a driver that is killed while it starts fails in various ways
                failures.append(f"{type(error).__name__}: {error}")
                if playwright:
                    playwright.stop()
    pytest.fail(f"Chromium ({path}) did not start in {_TRIES} tries: " + "; ".join(failures))


@contextmanager
def _killed_after(seconds: float) -> Iterator[None]:
    """Whoever waits for the driver or the browser after that time is told that they are gone."""
    timer = threading.Timer(seconds, _kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _kill() -> None:
    """The driver, which is a child of this process, and every browser under it."""
    children = _children()
    doomed = [pid for pid in children.get(os.getpid(), []) if b"playwright" in _command(pid)]
    for pid in doomed:
        doomed += children.get(pid, [])
    for pid in reversed(doomed):  # browsers first: a driver that sees one die tells what it heard of it
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _children() -> dict[int, list[int]]:
    """The processes that each process started."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    return children


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
