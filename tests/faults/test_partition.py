"""A worker's machine that cannot be reached: a node in a network namespace of its own, whose link is cut.

Its engine ends itself when the server is silent (self-fencing), the job is retried elsewhere, and late messages of the
machine have no effect when the link is restored.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.cli.client import post, wait_for_all
from tests.cli.server import LIMIT_S, launch, wait_for_nodes
from tests.ray_cluster import QUIET, is_installed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HERE, THERE = "10.231.77.1", "10.231.77.2"
LEASE_S = 6.0
FENCED_WITHIN_S = 30.0
"""The lease, what the engine and its machine take to notice, and what a busy machine adds."""
PACK = '''
import socket
import time
from pathlib import Path


class Beats:
    """Each run writes a line; the first goes on for ever, beating five times a second."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING",)}}

    def run(self, name):
        runs = Path(__file__).with_name(name)
        is_first = not runs.exists()
        with runs.open("a") as file:
            file.write("run\\n")
        while is_first:
            with runs.with_suffix(".beats").open("a") as file:
                file.write(".")
            time.sleep(0.2)
        return {"ui": {"text": ["done"]}, "result": ()}


NODE_CLASS_MAPPINGS = {"Beats": Beats}
'''


def run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


class Link:
    """The link between this machine and the namespace."""

    def __init__(self, namespace: str, end: str) -> None:
        self.namespace = namespace
        self._end = end

    def cut(self) -> None:
        run("ip", "link", "set", self._end, "down")

    def mend(self) -> None:
        run("ip", "link", "set", self._end, "up")


@pytest.fixture
def link() -> Iterator[Link]:
    if not is_installed():
        pytest.skip("Ray is not installed (pip install 'safelight[ray]')")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network namespace needs root, and `ip` (Debian: apt-get install iproute2)")
    namespace, near, far = f"sl{os.getpid()}", f"sln{os.getpid()}"[:15], f"slf{os.getpid()}"[:15]
    if subprocess.run(["ip", "netns", "add", namespace], capture_output=True).returncode:
        pytest.skip("network namespaces cannot be made here")
    try:
        run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        run("ip", "link", "set", far, "netns", namespace)
        run("ip", "addr", "add", f"{HERE}/24", "dev", near)
        run("ip", "link", "set", near, "up")
        for words in (
            ["addr", "add", f"{THERE}/24", "dev", far],
            ["link", "set", far, "up"],
            ["link", "set", "lo", "up"],
        ):
            run("ip", "-n", namespace, *words)
        yield Link(namespace, near)
    finally:
        subprocess.run(["ip", "link", "del", near], capture_output=True)
        subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


@contextmanager
def node(*words: str, inside: Sequence[str] = (), log: Path) -> Iterator[None]:
    command = [*inside, sys.executable, "-m", "safelight.cli", "worker", *words]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, start_new_session=True, env={**os.environ, **QUIET}
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_machine_that_is_cut_off_fences_itself_and_has_no_say_afterwards(link: Link, tmp_path: Path) -> None:
    packs = tmp_path / "packs"
    (packs / "beats").mkdir(parents=True)
    (packs / "beats" / "__init__.py").write_text(PACK)
    runs, beats = packs / "beats" / "job", packs / "beats" / "job.beats"
    port = "26379"
    environment = {
        "SAFELIGHT_BACKEND": "ray",
        "SAFELIGHT_RAY_ADDRESS": f"{HERE}:{port}",
        "SAFELIGHT_RAY_RESOURCES": "safelight-slot=1",
        "SAFELIGHT_LEASE_S": str(LEASE_S),
        "SAFELIGHT_WEB": "0",
        "SAFELIGHT_NODE_PACKAGES": "",
        "SAFELIGHT_CUSTOM_NODES": str(packs),
        "SAFELIGHT_WRITABLE_PACKS": "beats",
    }
    with ExitStack() as stack:
        head = ["--head", "--port", port, "--node-ip", HERE, "--slots", "0"]
        stack.enter_context(node(*head, log=tmp_path / "head.log"))
        wait_until(lambda: "Ray runtime started" in (tmp_path / "head.log").read_text(), tmp_path)
        inside = ["ip", "netns", "exec", link.namespace]
        far = ["--address", f"{HERE}:{port}", "--node-ip", THERE, "--slots", "1"]
        stack.enter_context(node(*far, inside=inside, log=tmp_path / "far.log"))
        server = launch(tmp_path / "data", environment=environment)
        stack.callback(server.stop)
        wait_for_nodes(server.url, "Beats")

        job_id = post(
            f"{server.url}/api/prompt", {"prompt": {"1": {"class_type": "Beats", "inputs": {"name": "job"}}}}
        )["prompt_id"]
        wait_until(lambda: beats.exists() and beats.stat().st_size > 3, tmp_path)
        link.cut()
        cut_at = time.monotonic()
        wait_until(lambda: is_still(beats), tmp_path)
        fenced_s = time.monotonic() - cut_at
        assert fenced_s < FENCED_WITHIN_S, fenced_s

        near = ["--address", f"{HERE}:{port}", "--node-ip", HERE, "--slots", "1"]
        stack.enter_context(node(*near, log=tmp_path / "near.log"))
        [job] = wait_for_all(server.url, 1, limit_s=LIMIT_S)
        assert (job["id"], job["status"]) == (job_id, "completed")
        size = beats.stat().st_size
        link.mend()
        time.sleep(3 * LEASE_S)  # for what should not come
        assert beats.stat().st_size == size
        assert runs.read_text().splitlines() == ["run", "run"]
        with sqlite3.connect(tmp_path / "data" / "safelight.db") as db:
            assert list(db.execute("SELECT state, attempt FROM job")) == [("completed", 2)]
        print(f"the machine that was cut off fenced itself after {fenced_s:.1f} s")


def is_still(file: Path) -> bool:
    size = file.stat().st_size
    time.sleep(1.5)
    return file.stat().st_size == size


def wait_until(holds: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, "\n".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
        time.sleep(0.2)
