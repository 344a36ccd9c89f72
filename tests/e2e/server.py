"""A server as a person starts it, for tests with a browser."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_LIMIT_S = 120


@contextmanager
def running_server(folder: Path, **settings: str) -> Iterator[str]:
    """Start a server and return its URL when its worker is ready. It ends a cancelled job after a second at most.
    ``settings``: further variables of its environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "safelight.cli", "serve", "--port", str(port), "--data-dir", str(folder / "data")]
    environment = {**os.environ, "SAFELIGHT_CANCEL_GRACE_S": "1", **settings}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process, folder / "log")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/api/object_info", timeout=START_LIMIT_S) as answer:
                if b"SaveImage" in answer.read():
                    return
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return  # it requires to sign in; whether its worker is ready cannot be seen from here
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.05)
    raise TimeoutError(log.read_text())
