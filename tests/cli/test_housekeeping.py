"""``safelight housekeeping`` against a real server."""

from pathlib import Path

from tests.cli.client import submit, wait_for_all
from tests.cli.server import running, safelight, wait_for_nodes


def test_an_operator_sees_what_is_due_and_runs_it(tmp_path: Path) -> None:
    environment = {"SAFELIGHT_KEEP_HISTORY_S": "0.001", "SAFELIGHT_HOUSEKEEPING_EVERY_S": "0"}
    with running(tmp_path / "data", environment=environment) as server:
        wait_for_nodes(server.url)
        submit(server.url, "old")
        wait_for_all(server.url, 1)
        shown = safelight("housekeeping", "--url", server.url)
        assert shown.returncode == 0, shown.stderr
        assert "It runs on request only." in shown.stdout
        assert [line.split() for line in shown.stdout.splitlines() if line.startswith("previews")] == [
            ["previews", "1", "days", "0"]
        ]
        ran = safelight("housekeeping", "--run", "--url", server.url)
        assert "removed 1 history; freed 0 B." in ran.stdout
        assert wait_for_all(server.url, 0) == []
