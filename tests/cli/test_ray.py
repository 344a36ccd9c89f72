"""A real server whose workers run on a Ray cluster, and what becomes of its jobs when nodes and servers die."""

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.client import get, post, wait_for_all
from tests.cli.server import LIMIT_S, Server, launch, wait_for_nodes
from tests.ray_cluster import Nodes

pytestmark = pytest.mark.slow

PACK = '''
import time
from pathlib import Path


class Lingers:
    """The first run of ``name`` never ends."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING",)}}

    def run(self, name):
        begun = Path(__file__).with_name(name)
        if not begun.exists():
            begun.write_text("begun")
            time.sleep(3600)
        return {"ui": {"text": ["done"]}, "result": ()}


NODE_CLASS_MAPPINGS = {"Lingers": Lingers}
'''


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    folder = tmp_path / "packs"
    (folder / "lingers").mkdir(parents=True)
    (folder / "lingers" / "__init__.py").write_text(PACK)
    return folder


@contextmanager
def serving(nodes: Nodes, tmp_path: Path, packs: Path, **settings: str) -> Iterator[Server]:
    environment = {"BACKEND": "ray", "RAY_ADDRESS": nodes.address, "WEB": "false", "NODE_PACKAGES": "", **settings}
    server = launch(
        tmp_path / "data",
        *("--custom-nodes", str(packs)),
        environment={f"SAFELIGHT_{name}": value for name, value in environment.items()},
    )
    try:
        wait_for_nodes(server.url, "Lingers")
        yield server
    finally:
        server.stop()


def linger(server: Server, packs: Path, name: str) -> str:
    """A job that hangs in its first attempt; its id, when it does."""
    prompt = {"1": {"class_type": "Lingers", "inputs": {"name": name}}}
    job_id: str = post(f"{server.url}/api/prompt", {"prompt": prompt})["prompt_id"]
    deadline = time.monotonic() + LIMIT_S
    while not (packs / "lingers" / name).exists():
        assert time.monotonic() < deadline, server.lines
        time.sleep(0.05)
    return job_id


def attempts(tmp_path: Path, job_id: str) -> int:
    with sqlite3.connect(tmp_path / "data" / "safelight.db") as db:
        [(attempt,)] = db.execute("select attempt from job where id = ?", (job_id,))
    return int(attempt)


def test_a_job_whose_node_dies_completes_on_another(ray_nodes: Nodes, tmp_path: Path, packs: Path) -> None:
    doomed = ray_nodes.add(slots=1, doomed="yes")
    with serving(ray_nodes, tmp_path, packs, POOLS="doomed=1") as server:
        job_id = linger(server, packs, "one")
        heir = ray_nodes.add(slots=1, doomed="yes")
        ray_nodes.kill(doomed)
        [job] = wait_for_all(server.url, 1)
        assert (job["id"], job["status"]) == (job_id, "completed")
        assert attempts(tmp_path, job_id) == 2
        linger(server, packs, "one")
        assert [job["status"] for job in wait_for_all(server.url, 2)] == ["completed"] * 2
    ray_nodes.remove(heir)


def test_a_server_that_was_killed_runs_its_job_again(ray_nodes: Nodes, tmp_path: Path, packs: Path) -> None:
    with serving(ray_nodes, tmp_path, packs) as server:
        job_id = linger(server, packs, "two")
        server.stop(signal.SIGKILL)
    with serving(ray_nodes, tmp_path, packs) as server:
        [job] = wait_for_all(server.url, 1)
        assert (job["id"], job["status"]) == (job_id, "completed")
        assert attempts(tmp_path, job_id) == 2
        assert get(f"{server.url}/api/system_stats")["devices"]
    assert server.process.returncode == 0
    assert not [line for line in server.lines if "SIGTERM" in line]
