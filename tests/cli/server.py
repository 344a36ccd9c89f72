"""A real ``safelight serve`` process on a free port."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S = 120
"""Generous: just after an installation the disk may be busy for a minute."""
ADDRESS = re.compile(r"Safelight is at (http://\S+)")


@dataclass
class Server:
    """Mutable: the process, and the lines that it has printed so far."""

    process: "subprocess.Popen[str]"
    url: str = ""
    started_in_s: float = 0.0
    lines: list[str] = field(default_factory=list)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def launch(data_dir: Path, *options: str, environment: dict[str, str] | None = None) -> Server:
    """Start a server and return when ``/health`` responds.

    Without the web UI, unless ``environment`` says so: a first start prepares its files, which takes half a minute of a
    core.
    """
    command = [sys.executable, "-m", "safelight.cli", "serve", "--port", "0", "--data-dir", str(data_dir), *options]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SAFELIGHT_")}
    kept |= {"COLUMNS": "400", "SAFELIGHT_WEB": "0"}
    begun = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=kept | (environment or {})
    )
    server = Server(process)
    assert process.stdout is not None
    for line in process.stdout:
        server.lines.append(line)
        if found := ADDRESS.search(line):
            server.url = found[1]
            break
    else:
        raise RuntimeError("the server did not start:\n" + "".join(server.lines))
    rest = process.stdout

    def drain() -> None:
        server.lines.extend(rest)
        rest.close()

    threading.Thread(target=drain, daemon=True).start()
    with urllib.request.urlopen(server.url + "/health", timeout=LIMIT_S) as answer:
        assert answer.read() == b"OK"
    server.started_in_s = time.monotonic() - begun
    return server


def wait_for_nodes(url: str, node: str = "PreviewAny") -> None:
    """Wait until a worker has reported its nodes, ``node`` among them."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/object_info/{node}", timeout=LIMIT_S):
                return
        except urllib.error.HTTPError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no worker has told its nodes: {error.read()!r}") from None
            time.sleep(0.1)


@contextmanager
def running(data_dir: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Server]:
    server = launch(data_dir, *options, environment=environment)
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL if server.process.poll() is None else signal.SIGTERM)


def safelight(*arguments: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    command = [sys.executable, "-m", "safelight.cli", *arguments]
    environment = {**os.environ, **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=environment)
