"""A workflow that runs again reports files that exist: those it made before, or new ones if they were deleted."""

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cli.client import get, post, wait_for_all
from tests.cli.server import Server, running, wait_for_nodes

PROMPT = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 2, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "again"}},
    "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    "4": {"class_type": "EmptyAudio", "inputs": {"duration": 0.1, "sample_rate": 8000, "channels": 1}},
    "5": {"class_type": "SaveAudio", "inputs": {"audio": ["4", 0], "filename_prefix": "again"}},
    "6": {"class_type": "PreviewAudio", "inputs": {"audio": ["4", 0]}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("rerun") / "data") as server:
        wait_for_nodes(server.url, "SaveAudio")
        yield server


def run(server: Server) -> dict[str, list[dict[str, Any]]]:
    """The files that each node reports."""
    before = get(f"{server.url}/api/jobs?status=completed,failed,cancelled")["pagination"]["total"]
    job_id = post(f"{server.url}/api/prompt", {"prompt": PROMPT})["prompt_id"]
    wait_for_all(server.url, before + 1)
    job = get(f"{server.url}/api/jobs/{job_id}")
    assert job["status"] == "completed", job
    return {node: [file for files in ui.values() for file in _files(files)] for node, ui in job["outputs"].items()}


def _files(shown: Any) -> list[dict[str, Any]]:
    return [file for file in shown if isinstance(file, dict) and "filename" in file] if isinstance(shown, list) else []


def view(server: Server, file: dict[str, Any]) -> int:
    query = urllib.parse.urlencode({name: file[name] for name in ("filename", "subfolder", "type")})
    try:
        with urllib.request.urlopen(f"{server.url}/api/view?{query}", timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def remove(server: Server, file: dict[str, Any]) -> None:
    assets = get(f"{server.url}/api/assets?limit=500&name_contains={urllib.parse.quote(file['filename'])}")["assets"]
    [asset] = [asset for asset in assets if asset["name"] == file["filename"] and file["type"] in asset["tags"]]
    request = urllib.request.Request(f"{server.url}/api/assets/{asset['id']}", method="DELETE")
    with urllib.request.urlopen(request, timeout=60):
        pass
    assert view(server, file) == 404


def clear(server: Server) -> None:
    request = urllib.request.Request(f"{server.url}/api/history", b'{"clear": true}', method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("node", ["2", "3", "5", "6"])
def test_a_rerun_makes_deleted_files_again_and_reports_the_others(server: Server, node: str) -> None:
    first = run(server)
    assert sorted(first) == ["2", "3", "5", "6"]
    assert run(server) == first
    remove(server, first[node][-1])
    second = run(server)
    assert all(view(server, file) == 200 for files in second.values() for file in files)
    assert second[node] != first[node]
    assert {key: files for key, files in second.items() if key != node} == {
        key: files for key, files in first.items() if key != node
    }
    assert run(server) == second


def test_files_outlive_the_job_in_the_history(server: Server) -> None:
    first = run(server)
    clear(server)
    second = run(server)
    assert all(view(server, file) == 200 for files in second.values() for file in files)
    assert second == first
