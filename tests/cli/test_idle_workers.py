"""Idle workers stop, and jobs start them again."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.client import get, submit, wait_for_all
from tests.cli.server import LIMIT_S, Server, running, wait_for_nodes

IDLE = {"SAFELIGHT_WORKER_IDLE_S": "3"}


def states(server: Server) -> list[str]:
    return [slot["state"] for slot in get(f"{server.url}/api/admin/schedule")["slots"]]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def engines(folder: Path) -> list[int]:
    """The worker processes of the server with that data folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            command, environment = ((process / name).read_bytes() for name in ("cmdline", "environ"))
        except OSError:
            continue
        is_keeper = b"safelight.sandbox.keeper" in command  # a keeper's command line contains the engine's
        if b"safelight.runtime" in command and not is_keeper and os.fsencode(folder) in environment:
            found.append(int(process.name))
    return found


def test_idle_workers_stop_and_a_job_starts_one(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", environment=IDLE) as server:
        wait_until(lambda: len(engines(tmp_path)) == 1)
        wait_for_nodes(server.url)
        assert states(server)[1] == "asleep"
        devices = get(f"{server.url}/api/system_stats")["devices"]
        wait_until(lambda: states(server) == ["asleep", "asleep"])
        wait_until(lambda: engines(tmp_path) == [])
        assert get(f"{server.url}/object_info/PreviewAny")
        assert len(get(f"{server.url}/api/system_stats")["devices"]) == len(devices) == 1
        job_id = submit(server.url, "wake up")
        [job] = wait_for_all(server.url, 1)
        assert (job["id"], job["status"]) == (job_id, "completed")
        assert sorted(states(server))[0] == "asleep"
