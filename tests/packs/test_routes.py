"""Routes of the test packs behind a real server: what they receive, what they can send, who can call them."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from tests.cli.server import Server, running
from tests.packs.engine import PACKS

JSON = "application/json"
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on loopback without accounts, once its worker is ready."""
    with running(tmp_path_factory.mktemp("data"), "--custom-nodes", str(PACKS)) as started:
        wait_for_worker(started)
        yield started


def wait_for_worker(server: Server, headers: dict[str, str] | None = None) -> bytes:
    deadline = time.monotonic() + 120
    while (answer := fetch(server, "/classic/hello/x", headers=headers))[0] != 200:
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    return answer[2]


def fetch(
    server: Server, path: str, *, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    request = urllib.request.Request(server.url + path, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=180) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


@pytest.mark.parametrize("path", ["/classic/hello/a%20b?x=1&y=%2F", "/api/classic/hello/a%20b?x=1&y=%2F"])
def test_a_route_answers_at_its_path_and_below_api(server: Server, path: str) -> None:
    status, headers, body = fetch(server, path, headers={"Cookie": "other=1"})
    assert status == 200, body
    assert json.loads(body) == {
        "name": "a b",
        "query": {"x": "1", "y": "/"},
        "user": "local",
        "told": [],
        "is_running": True,
    }
    assert headers["x-pack"] == "classic"
    assert headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in headers


def test_what_is_posted_arrives_and_stays_with_the_pack(server: Server) -> None:
    answers = [fetch(server, "/classic/keep", method="POST", body=b'{"n": 1}') for _ in range(2)]
    assert [(status, body) for status, _, body in answers] == [(201, b"1"), (201, b"2")]


def test_a_folder_of_files(server: Server) -> None:
    status, headers, body = fetch(server, "/classic/files/classic.js")
    assert (status, body) == (200, (PACKS / "classic" / "web" / "classic.js").read_bytes())
    assert "javascript" in headers["content-type"]
    assert fetch(server, "/classic/files/..%2f__init__.py")[0] in (403, 404)


def test_a_failing_handler_is_a_502(server: Server) -> None:
    assert fetch(server, "/classic/broken")[0] == 500
    assert fetch(server, "/classic/hello/x")[0] == 200


def test_a_page_of_another_site_is_rejected(server: Server) -> None:
    headers = {"Origin": "https://evil.example"}
    assert fetch(server, "/classic/keep", method="POST", body=b"{}", headers=headers)[0] == 403


def test_a_pack_cannot_replace_a_route_of_the_server(server: Server) -> None:
    assert fetch(server, "/api/queue")[0] == 200
    assert fetch(server, "/api/no_such_route")[0] == 404


@pytest.mark.parametrize("how", ["exec", "exit", "later"])
def test_a_route_that_ends_its_process_leaves_the_running_job_alone(server: Server, how: str) -> None:
    """As ``/manager/reboot`` does: the job ends well, routes answer 503 meanwhile, then a new process has them."""
    wait_for_worker(server)
    before = json.loads(fetch(server, "/classic/started")[2])
    prompt = {
        "1": {"class_type": "ClassicWait", "inputs": {"value": 7, "seconds": 3.0}},
        "2": {"class_type": "ClassicShow", "inputs": {"value": ["1", 0]}},
    }
    body = json.dumps({"prompt": prompt | {"3": {"class_type": "ClassicSteps", "inputs": {"steps": 2}}}}).encode()
    status, _, submitted = fetch(server, "/api/prompt", method="POST", body=body, headers={"Content-Type": JSON})
    assert status == 200, submitted
    job_id = json.loads(submitted)["prompt_id"]
    wait_until(lambda: json.loads(fetch(server, f"/api/jobs/{job_id}")[2])["status"] == "in_progress")
    assert fetch(server, f"/classic/restart?how={how}", method="POST")[0] == (200 if how == "later" else 503)
    wait_until(lambda: fetch(server, "/classic/started")[0] == 503)
    wait_until(lambda: json.loads(fetch(server, f"/api/jobs/{job_id}")[2])["status"] == "completed")
    wait_until(lambda: fetch(server, "/classic/started")[0] == 200)
    assert json.loads(fetch(server, "/classic/started")[2]) != before


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_with_accounts_a_route_needs_a_credential(tmp_path: Path) -> None:
    def safelight(*words: str) -> str:
        command = [sys.executable, "-m", "safelight.cli", *words, "--data-dir", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    safelight("user", "add", "anna", "--no-password")
    key = {"X-API-Key": safelight("key", "create", "anna")}
    with running(tmp_path, "--custom-nodes", str(PACKS)) as server:
        told = json.loads(wait_for_worker(server, key))
        assert told["user"] not in ("", "local", None)
        assert told["told"] == []
        assert fetch(server, "/classic/hello/x")[0] == 401
