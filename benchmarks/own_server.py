"""A Safelight server for a benchmark: started on a free port with an empty data folder, and stopped afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class OwnServer:
    """Times since the start of the process, in seconds: the first response of ``/health``, and the first ready
    worker."""

    url: str
    pid: int
    health_s: float
    ready_s: float

    def rss_bytes(self) -> int:
        """Resident memory of the server process, without its worker processes."""
        return self._memory("VmRSS")

    def peak_rss_bytes(self) -> int:
        """Peak resident memory."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


@contextmanager
def own_server(
    *,
    limit_s: float = 180,
    prepare: Callable[[Path], None] = lambda data: None,
    environment: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Iterator[OwnServer]:
    """``prepare`` fills the data folder before the start; ``environment`` holds additional settings; ``python``: of
    another installation."""
    data = Path(tempfile.mkdtemp(prefix="safelight-benchmark-"))
    prepare(data)
    port = free_port()
    # The first start of an installation copies the web UI; that is not measured here.
    subprocess.run([python, "-m", "safelight.web.prepare", str(data / "cache" / "web")], check=True)
    command = [python, "-m", "safelight.cli", "serve", "--log-level", "warning"]
    start = time.perf_counter()
    command += ["--port", str(port), "--data-dir", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **(environment or {})})
    try:
        url = f"http://127.0.0.1:{port}"
        health_s = wait_for_answer(f"{url}/health", start, limit_s)
        ready_s = wait_for_answer(f"{url}/api/object_info", start, limit_s, contains=b"PreviewAny")
        yield OwnServer(url, process.pid, health_s, ready_s)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(data, ignore_errors=True)


def wait_for_answer(url: str, start: float, limit_s: float, *, contains: bytes = b"") -> float:
    while time.perf_counter() - start < limit_s:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                if contains in answer.read():
                    return time.perf_counter() - start
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.01)
    raise TimeoutError(f"{url} did not answer within {limit_s:.0f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
