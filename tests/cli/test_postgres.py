"""An installation that starts with SQLite, moves to PostgreSQL, and is killed."""

import signal
from pathlib import Path

import pytest
from tests.cli.client import get, submit, wait_for_all
from tests.cli.server import launch, running, safelight, wait_for_nodes

pytestmark = pytest.mark.slow


def test_it_moves_to_postgresql_and_no_job_is_lost(tmp_path: Path, postgres_url: str) -> None:
    with running(tmp_path) as embedded:
        wait_for_nodes(embedded.url)
        job_ids = [submit(embedded.url, "before") for _ in range(2)]
        wait_for_all(embedded.url, 2)
        refused = safelight("db", "copy", postgres_url, "--data-dir", str(tmp_path))
        assert (refused.returncode, "another server is running" in refused.stderr) == (1, True), refused.stderr
        embedded.stop()

    copied = safelight("db", "copy", postgres_url, "--data-dir", str(tmp_path))
    assert copied.returncode == 0, copied.stderr
    assert "2  job\n" in copied.stdout
    again = safelight("db", "copy", postgres_url, "--data-dir", str(tmp_path))
    assert (again.returncode, "the target database is not empty" in again.stderr) == (1, True), again.stderr

    environment = {"SAFELIGHT_DATABASE_URL": postgres_url}
    first = launch(tmp_path, environment=environment)
    assert {job["id"] for job in get(f"{first.url}/api/jobs?limit=100")["jobs"]} == set(job_ids)
    wait_for_nodes(first.url)
    job_ids += [submit(first.url, "after") for _ in range(5)]
    first.stop(signal.SIGKILL)

    with running(tmp_path, environment=environment) as second:
        jobs = wait_for_all(second.url, len(job_ids))
        assert {job["id"]: job["status"] for job in jobs} == dict.fromkeys(job_ids, "completed")
        other = safelight("serve", "--port", "0", "--data-dir", str(tmp_path / "b"), environment=environment)
        assert (other.returncode, "another server is running" in other.stderr) == (1, True), other.stderr
        checked = safelight("db", "check", "--data-dir", str(tmp_path), environment=environment)
        assert (checked.returncode, "current schema" in checked.stdout) == (0, True), checked.stdout
        saved = safelight("backup", str(tmp_path / "copy"), "--data-dir", str(tmp_path), environment=environment)
        assert saved.returncode == 0, saved.stderr
