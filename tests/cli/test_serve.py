"""The command as a user runs it: real processes, real signals, errors in one line."""

import signal
import socket
import subprocess
from pathlib import Path

from tests.cli.client import submit, wait_for_all
from tests.cli.server import launch, running, safelight


def test_a_job_outlives_the_server(tmp_path: Path) -> None:
    """Promise 1: an accepted job survives ``kill -9`` of everything, and runs."""
    first = launch(tmp_path)
    job_ids = [submit(first.url, "x") for _ in range(20)]
    first.stop(signal.SIGKILL)
    with running(tmp_path) as second:
        jobs = wait_for_all(second.url, len(job_ids))
    assert {job["id"]: job["status"] for job in jobs} == dict.fromkeys(job_ids, "completed")


def test_sigterm_stops_the_server_and_its_worker(tmp_path: Path) -> None:
    server = launch(tmp_path)
    assert server.stop(signal.SIGTERM) == 0
    workers = subprocess.run(["pgrep", "-f", f"--parent {server.process.pid}"], capture_output=True, text=True)
    assert workers.stdout == ""


def test_an_address_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ran = safelight("serve", "--port", str(port), "--data-dir", str(tmp_path))
    assert (ran.returncode, ran.stderr) == (1, f"safelight: cannot listen on 127.0.0.1:{port}: the address is in use\n")


def test_wrong_options_are_reported_in_one_line(tmp_path: Path) -> None:
    ran = safelight("serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path))
    assert ran.returncode == 1
    assert ran.stderr.startswith("safelight: host is 0.0.0.0, which others can reach")
    assert safelight("serve", "--prot", "1").returncode == 2
    (tmp_path / "file").write_text("")
    ran = safelight("serve", "--port", "0", "--data-dir", str(tmp_path / "file"))
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr


def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    with running(tmp_path):
        ran = safelight("serve", "--port", "0", "--data-dir", str(tmp_path))
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "server" in ran.stderr


def test_doctor_approves_this_machine(tmp_path: Path) -> None:
    ran = safelight("doctor", "--data-dir", str(tmp_path), "--port", "0")
    assert ran.returncode == 0, ran.stdout
    for subject in ("Python", "SQLite", "Data folder", "PyTorch", "comfyui-frontend-package"):
        assert subject in ran.stdout


def test_doctor_reports_problems(tmp_path: Path) -> None:
    ran = safelight("doctor", "--data-dir", str(tmp_path), "--custom-nodes", str(tmp_path / "nope"))
    assert ran.returncode == 1
    assert "is not a folder" in ran.stdout
