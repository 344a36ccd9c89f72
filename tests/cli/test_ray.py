"""A real server with workers on a Ray cluster, and its jobs when nodes and servers die."""

import json
import signal
import sqlite3
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.client import get, post, upload, wait_for_all
from tests.cli.server import LIMIT_S, Server, launch, wait_for_nodes
from tests.ray_cluster import Nodes
from tests.seaweedfs import SeaweedFS
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.slow

PACK = '''
import time
from pathlib import Path

from safelight.sdk import current


class Waits:
    """Save a text, wait for a file ``name``, save another text, and show both."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING",)}}

    def save(self, text):
        file = current().open_series("waits").file(0, ".txt")
        file.path.write_text(text)
        return file.as_dict()

    def run(self, name):
        before = self.save("before")
        Path(__file__).with_name(name + "-begun").touch()
        while not Path(__file__).with_name(name).exists():
            time.sleep(0.02)
        return {"ui": {"files": [before, self.save("after " + name)]}}


class Reads(Waits):
    """Save the input file ``name`` in upper case."""

    def run(self, name):
        file = current().open_series("reads").file(0, ".txt")
        file.path.write_text(current().input_path(name).read_text().upper())
        Path(__file__).with_name(name + "-begun").touch()
        return {"ui": {"files": [file.as_dict()]}}


class Lingers(Waits):
    """Run forever the first time that ``name`` is run."""

    def run(self, name):
        begun = Path(__file__).with_name(name)
        if not begun.exists():
            begun.write_text("begun")
            time.sleep(3600)
        return {"ui": {"text": ["done"]}, "result": ()}


NODE_CLASS_MAPPINGS = {"Lingers": Lingers, "Waits": Waits, "Reads": Reads}
'''


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    folder = tmp_path / "packs"
    (folder / "lingers").mkdir(parents=True)
    (folder / "lingers" / "__init__.py").write_text(PACK)
    return folder


@contextmanager
def serving(nodes: Nodes, tmp_path: Path, packs: Path, **settings: str) -> Iterator[Server]:
    environment = {
        "BACKEND": "ray",
        "RAY_ADDRESS": nodes.address,
        "WEB": "false",
        "NODE_PACKAGES": "",
        "WRITABLE_PACKS": "lingers",
    } | settings
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


def begin(server: Server, packs: Path, kind: str, name: str, begun: str) -> str:
    """Submit a job of one node, wait until the node runs, and return the job's id."""
    prompt = {"1": {"class_type": kind, "inputs": {"name": name}}}
    job_id: str = post(f"{server.url}/api/prompt", {"prompt": prompt, "client_id": "me"})["prompt_id"]
    deadline = time.monotonic() + LIMIT_S
    while not (packs / "lingers" / begun).exists():
        assert time.monotonic() < deadline, server.lines
        time.sleep(0.05)
    return job_id


def linger(server: Server, packs: Path, name: str) -> str:
    """Submit a job that hangs in its first attempt."""
    return begin(server, packs, "Lingers", name, name)


def files_of(server: Server, job_id: str) -> dict[str, str]:
    """The contents of the job's files by name."""
    found = {}
    for file in get(f"{server.url}/api/jobs/{job_id}")["outputs"]["1"]["files"]:
        query = urllib.parse.urlencode(file)
        with urllib.request.urlopen(f"{server.url}/api/view?{query}", timeout=LIMIT_S) as answer:
            found[file["filename"]] = answer.read().decode()
    return found


def wait_until(holds: Callable[[], bool], server: Server) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, server.lines
        time.sleep(0.05)


def wait_for_line(server: Server, text: str) -> None:
    wait_until(lambda: any(text in line for line in server.lines), server)


@contextmanager
def listening(server: Server) -> Iterator[ClientConnection]:
    with connect(server.url.replace("http", "ws") + "/ws?clientId=me", max_size=None) as socket:
        yield socket


def kinds_until_success(socket: ClientConnection) -> list[str]:
    """The messages up to the end of a job, by type."""
    kinds: list[str] = []
    while "execution_success" not in kinds:
        if isinstance(message := socket.recv(timeout=LIMIT_S), str):
            kinds.append(json.loads(message)["type"])
    return kinds


def attempts(tmp_path: Path, job_id: str) -> int:
    with sqlite3.connect(tmp_path / "data" / "safelight.db") as db:
        [(attempt,)] = db.execute("select attempt from job where id = ?", (job_id,))
    return int(attempt)


def test_a_job_whose_node_dies_completes_on_another_node(ray_nodes: Nodes, tmp_path: Path, packs: Path) -> None:
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


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_job_continues_while_its_server_restarts(
    ray_nodes: Nodes, tmp_path: Path, packs: Path, how: signal.Signals
) -> None:
    """It runs once, its files keep the names that were reserved, and the next server publishes its end."""
    with serving(ray_nodes, tmp_path, packs) as server:
        job_id = begin(server, packs, "Waits", "go", "go-begun")
        server.stop(how)
    with serving(ray_nodes, tmp_path, packs) as server:
        wait_for_line(server, f"reattached to attempt 1 of job {job_id}")
        with listening(server) as socket:
            (packs / "lingers" / "go").touch()
            kinds = kinds_until_success(socket)
        assert "executing" in kinds
        assert kinds.count("executed") == 1
        [job] = wait_for_all(server.url, 1)
        assert (job["id"], job["status"]) == (job_id, "completed")
        assert attempts(tmp_path, job_id) == 1
        assert files_of(server, job_id) == {"waits_00001_.txt": "before", "waits_00002_.txt": "after go"}

        (packs / "lingers" / "then").touch()
        after = begin(server, packs, "Waits", "then", "then-begun")  # by an engine of the new server
        wait_for_all(server.url, 2)
        assert list(files_of(server, after)) == ["waits_00003_.txt", "waits_00004_.txt"]
    assert server.process.returncode == 0
    assert not [line for line in server.lines if "SIGTERM" in line]


def test_a_job_continues_under_another_leader(ray_nodes: Nodes, tmp_path: Path, packs: Path, postgres_url: str) -> None:
    settings = {"DATABASE_URL": postgres_url, "REPLICAS": "1"}
    with serving(ray_nodes, tmp_path, packs, **settings) as first:
        job_id = begin(first, packs, "Waits", "go", "go-begun")
        with serving(ray_nodes, tmp_path, packs, **settings) as second:
            with listening(second) as socket:
                first.stop(signal.SIGKILL)
                wait_for_line(second, f"reattached to attempt 1 of job {job_id}")
                (packs / "lingers" / "go").touch()
                kinds = kinds_until_success(socket)
            assert kinds.count("executed") == 1
            [job] = wait_for_all(second.url, 1)
            assert (job["id"], job["status"]) == (job_id, "completed")
            assert list(files_of(second, job_id)) == ["waits_00001_.txt", "waits_00002_.txt"]


def test_a_job_whose_server_stays_away_runs_again(ray_nodes: Nodes, tmp_path: Path, packs: Path) -> None:
    """Its engine has exited by then."""
    with serving(ray_nodes, tmp_path, packs, LEASE_S="1") as server:
        job_id = linger(server, packs, "two")
        server.stop(signal.SIGKILL)
    time.sleep(2.5)
    with serving(ray_nodes, tmp_path, packs) as server:
        [job] = wait_for_all(server.url, 1)
        assert (job["id"], job["status"]) == (job_id, "completed")
        assert attempts(tmp_path, job_id) == 2
        assert get(f"{server.url}/api/system_stats")["devices"]


def test_workers_that_share_no_folder_with_their_server(
    ray_nodes: Nodes, tmp_path: Path, packs: Path, s3: SeaweedFS
) -> None:
    """Their machine transfers files between its own disk and the store, also while one server follows another."""
    settings = {
        **{name.removeprefix("SAFELIGHT_"): value for name, value in s3.environment("workers").items()},
        "RAY_SCRATCH": str(tmp_path / "scratch"),
    }
    with serving(ray_nodes, tmp_path, packs, **settings) as server:
        upload(server.url, "note.txt", b"from home")
        first = begin(server, packs, "Reads", "note.txt", "note.txt-begun")
        wait_for_all(server.url, 1)
        assert files_of(server, first) == {"reads_00001_.txt": "FROM HOME"}
        job_id = begin(server, packs, "Waits", "go", "go-begun")
        server.stop(signal.SIGKILL)
    with serving(ray_nodes, tmp_path, packs, **settings) as server:
        (packs / "lingers" / "go").touch()
        assert [job["status"] for job in wait_for_all(server.url, 2)] == ["completed"] * 2
        assert attempts(tmp_path, job_id) == 1
        assert files_of(server, job_id) == {"waits_00001_.txt": "before", "waits_00002_.txt": "after go"}
    assert not (tmp_path / "data" / "staging").exists()
    assert not (tmp_path / "data" / "blobs").exists()
    carried = [path for path in (tmp_path / "scratch").rglob("*") if path.is_file() and "inputs" in path.parts]
    assert [path.read_bytes() for path in carried] == [b"from home"]


def test_idle_workers_release_their_resources(ray_nodes: Nodes, tmp_path: Path, packs: Path) -> None:
    """So an autoscaler can remove nodes, and add them when jobs are queued."""

    def actors() -> int:
        import ray

        return len(ray.util.list_named_actors(all_namespaces=True))

    settings = {"WORKERS": "2", "WORKER_IDLE_S": "1"}
    with serving(ray_nodes, tmp_path, packs, **settings) as server:
        wait_until(lambda: actors() == 0, server)
        for name in "ab":
            (packs / "lingers" / name).touch()
        for name in "ab":
            begin(server, packs, "Waits", name, f"{name}-begun")
        assert [job["status"] for job in wait_for_all(server.url, 2)] == ["completed"] * 2
        wait_until(lambda: actors() == 0, server)
