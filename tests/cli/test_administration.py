"""The administrator's page by commands, against a real server: audit, usage, workflows, models, jobs, users."""

import json
from pathlib import Path

from tests.cli.client import submit, wait_for_all
from tests.cli.server import running, safelight, wait_for_nodes
from tests.e2e.model_site import model_site


def succeed(*arguments: str) -> str:
    ran = safelight(*arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_commands_of_an_administrator_against_a_running_server(tmp_path: Path) -> None:
    with (
        model_site(b"weights") as site,
        running(tmp_path / "data", environment={"SAFELIGHT_HUGGINGFACE_URL": site}) as server,
    ):
        at = ("--url", server.url)
        wait_for_nodes(server.url)
        submit(server.url, "one")
        [job] = wait_for_all(server.url, 1)
        assert "is queued again" in succeed("job", "retry", "local", job["id"], *at)
        wait_for_all(server.url, 2)
        assert "local" in succeed("usage", *at)

        (tmp_path / "Lesson.json").write_text(json.dumps({"nodes": []}))
        succeed("workflow", "give", str(tmp_path / "Lesson.json"), *at)
        assert "Lesson" in succeed("workflow", "list", *at)
        succeed("workflow", "withdraw", "Lesson", *at)
        address = "https://huggingface.co/a/b/resolve/main/new.safetensors"
        assert "loras/new.safetensors is on the server." in succeed("model", "import", address, "loras", *at)
        [line] = [line for line in succeed("model", "list", *at).splitlines() if "new.safetensors" in line]
        assert line.split()[-1] == "apache-2.0"
        done = [line.split()[2] for line in succeed("audit", *at).splitlines()[1:]]
        assert done == ["model.import", "workflow.withdraw", "workflow.give", "job.retry"]


def test_users_are_renamed_renewed_and_deleted(tmp_path: Path) -> None:
    at = ("--data-dir", str(tmp_path / "data"))
    for arguments in (("root", "--admin"), ("anna",)):
        succeed("user", "add", *arguments, "--no-password", *at)
    succeed("user", "rename", "anna", "anna.b", *at)
    succeed("user", "set", "anna.b", "--device-s", "3600", "--renew-days", "7", *at)
    refused = safelight("user", "set", "anna.b", "--renew-days", "often", *at)
    assert "invalid --renew-days 'often'" in refused.stderr
    succeed("user", "delete", "anna.b", "--yes", *at)
    assert "anna" not in succeed("user", "list", *at)
    refused = safelight("user", "delete", "root", "--yes", *at)
    assert "'root' is the only administrator" in refused.stderr
