"""Each test of ``in_browser``, in a process of its own.

Playwright waits without a limit for its driver and for some responses of a page, and a test that is interrupted in such
a wait cannot be cleaned up. So nothing of it runs in this process: a process that takes too long prints its stacks, is
ended with all its children, and is tried once more. ``pytest tests/e2e/in_browser/web_ui.py`` runs a file directly.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.e2e import chromium
from tests.e2e.server import running_server

HERE = Path(__file__).parent / "in_browser"
TESTS = [
    f"{name}.py::{test}"
    for name in ("web_ui", "ui_of_this_server", "node_packs", "strangers", "own_pages")
    for test in re.findall(r"^def (test_\w+)", (HERE / f"{name}.py").read_text("utf-8"), re.MULTILINE)
]
LIMIT_S = 200
"""Seconds for one try; the first on a cold machine takes about 50 s."""
KILL_AFTER_S = 30
GONE = ("+ Timeout +", "TargetClosedError")
"""Output of a process whose browser hung or crashed, which is not the server's fault. Other failures are not
retried."""

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(3 * (LIMIT_S + KILL_AFTER_S))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if chromium.find() is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with running_server(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.mark.parametrize("test", TESTS)
def test_in_browser(test: str, server: str, tmp_path: Path) -> None:
    code, output = run(test, server, tmp_path)
    if code and any(sign in output for sign in GONE):
        print(output)  # pytest shows it when the second try fails too
        code, output = run(test, server, tmp_path)
    assert code == 0, output


def run(test: str, server: str, folder: Path) -> tuple[int, str]:
    """The exit code and the output."""
    command = [sys.executable, "-m", "pytest", f"{HERE / test}", "-p", "no:cacheprovider", "--tb=short"]
    command += [f"--timeout={LIMIT_S}", "--timeout-method=thread"]
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, "SAFELIGHT_TEST_SERVER": server},
            start_new_session=True,
        )
        try:
            code = process.wait(LIMIT_S + KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            file.write(b"+ Timeout + of the whole process\n")
            code = -1
        finally:
            end_group(process)
    return code, output.read_text("utf-8", "replace")


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """Also the browsers that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
