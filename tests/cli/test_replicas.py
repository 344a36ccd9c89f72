"""Several servers with one database: one leads, any responds, and events reach all."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cli.client import get, post, submit, wait_for_all
from tests.cli.server import LIMIT_S, Server, running, wait_for_nodes
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.slow


@contextmanager
def replicas(folder: Path, url: str, count: int = 2) -> Iterator[list[Server]]:
    """Two servers; the first leads. They share the data folder, as replicas share a mounted one."""
    environment = {"SAFELIGHT_DATABASE_URL": url, "SAFELIGHT_REPLICAS": "1", "SAFELIGHT_WEB": "0"}
    with ExitStack() as stack:
        yield [stack.enter_context(running(folder, environment=environment)) for _ in range(count)]


@contextmanager
def socket(server: Server, client_id: str) -> Iterator[ClientConnection]:
    with connect(f"{server.url.replace('http', 'ws')}/ws?clientId={client_id}", max_size=None) as ws:
        yield ws


def messages(ws: ClientConnection, *, until: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Text messages up to the first for which ``until`` holds."""
    received = []
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        message = ws.recv(timeout=LIMIT_S)
        if isinstance(message, str):
            received.append(json.loads(message))
            if until(received[-1]):
                return received
    raise AssertionError(f"not received within {LIMIT_S} s: {received}")


def is_end(job_id: str) -> Callable[[dict[str, Any]], bool]:
    def check(message: dict[str, Any]) -> bool:
        return message["type"] == "execution_success" and message["data"]["prompt_id"] == job_id

    return check


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_all_servers_receive_events_and_a_dead_leader_is_replaced(tmp_path: Path, postgres_url: str) -> None:
    with replicas(tmp_path, postgres_url) as (first, second):
        wait_for_nodes(first.url)
        wait_for_nodes(second.url)  # reported by a worker of the other server
        with socket(second, "far") as far:
            job_id = post(
                f"{first.url}/api/prompt",
                {
                    "client_id": "far",
                    "prompt": {
                        "1": {"class_type": "PrimitiveString", "inputs": {"value": "x"}},
                        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
                    },
                },
            )["prompt_id"]
            kinds = [message["type"] for message in messages(far, until=is_end(job_id))]
            assert [k for k in kinds if k.startswith("execution_st") or k in ("executed", "execution_success")] == [
                "execution_start",
                "executed",
                "execution_success",
            ]
        # Submitted to the server without workers, which forwards it. Any server shows the workers.
        jobs = [submit(second.url, f"{n}") for n in range(3)]
        wait_for_all(second.url, 4)
        assert get(f"{second.url}/api/system_stats")["devices"] == get(f"{first.url}/api/system_stats")["devices"] != []

        waiting = [submit(second.url, f"then {n}") for n in range(10)]
        first.stop(signal.SIGKILL)
        waiting += [submit(second.url, "by the one that is left")]
        ended = wait_for_all(second.url, 4 + len(waiting))
        assert {job["id"]: job["status"] for job in ended} == dict.fromkeys([job_id, *jobs, *waiting], "completed")


def test_a_leader_that_stops_is_replaced_immediately(tmp_path: Path, postgres_url: str) -> None:
    with replicas(tmp_path, postgres_url) as (first, second):
        wait_for_nodes(second.url)
        first.stop()
        wait_until(lambda: any("this server is the leader" in line for line in second.lines))
        job_id = submit(second.url, "x")
        assert [job["id"] for job in wait_for_all(second.url, 1)] == [job_id]
