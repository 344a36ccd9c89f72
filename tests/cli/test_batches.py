"""A whole installation: the key of a submission after ``kill -9``, a batch after a restart, ``safelight run``."""

import http.client
import json
import random
import signal
import threading
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.cli.client import get
from tests.cli.server import launch, running, safelight, wait_for_nodes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORKFLOW = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "swept"}},
}


def send(url: str, path: str, body: Any, *, key: str = "") -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
    try:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.load(response)
    finally:
        connection.close()


def test_after_a_kill_the_key_tells_whether_the_job_exists(tmp_path: Path) -> None:
    chance = random.Random(7)
    for number in range(6):
        server = launch(tmp_path / "data")
        wait_for_nodes(server.url, "SaveImage")
        key = str(uuid.uuid4())
        body = {"workflow": WORKFLOW, "metadata": {"try": str(number)}}
        answers: list[int] = []

        def submit(url: str = server.url, body: Any = body, key: str = key, answers: list[int] = answers) -> None:
            try:
                answers.append(send(url, "/api/v2/jobs", body, key=key)[0])
            except (OSError, http.client.HTTPException, ValueError):
                return  # the server died before its answer

        thread = threading.Thread(target=submit)
        thread.start()
        time.sleep(chance.uniform(0.0, 0.02))
        server.stop(signal.SIGKILL)
        thread.join()
        with running(tmp_path / "data") as after:
            wait_for_nodes(after.url, "SaveImage")
            made = get(f"{after.url}/api/v2/jobs?metadata[try]={number}")["jobs"]
            status, answer = send(after.url, "/api/v2/jobs", body, key=key)
            if made:
                assert (status, answer["error"]["code"]) == (422, "idempotency_key_reuse")
            else:
                assert (status, answers) == (201, []), "an acknowledged job must exist"
            assert len(get(f"{after.url}/api/v2/jobs?metadata[try]={number}")["jobs"]) == 1


def test_a_batch_continues_after_a_restart(tmp_path: Path) -> None:
    axes = {"1.color": {"from": 1, "to": 600}}
    with running(tmp_path / "data") as server:
        wait_for_nodes(server.url, "SaveImage")
        begun = time.monotonic()
        status, batch = send(server.url, "/api/v2/batches", {"workflow": WORKFLOW, "axes": axes})
        assert (status, batch["total"]) == (201, 600)
        assert time.monotonic() - begun < 5
        server.stop(signal.SIGKILL)
    with running(tmp_path / "data") as server:
        deadline = time.monotonic() + 300
        while (found := get(f"{server.url}/api/v2/batches/{batch['id']}"))["ended_at"] is None:
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
        assert found["counts"] == {"queued": 0, "running": 0, "succeeded": 600, "failed": 0, "canceled": 0}


def test_run_makes_a_sweep_and_fetches_its_files(tmp_path: Path) -> None:
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps(WORKFLOW))
    with running(tmp_path / "data") as server:
        wait_for_nodes(server.url, "SaveImage")
        command = ("run", str(graph), "--url", server.url, "--out", str(tmp_path / "out"))
        done = safelight(*command, "--set", "1.color=1..3", "--set", "2.filename_prefix=a,b")
        assert done.returncode == 0, done.stdout + done.stderr
        files = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert len(files) == 7
        assert files[0].startswith("00000-0-a")
        listed = json.loads((tmp_path / "out" / "jobs.json").read_text())
        assert listed[5]["values"] == {"1.color": 3, "2.filename_prefix": "b"}
        batch = get(f"{server.url}/api/v2/batches")["batches"][0]
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        connection.request("GET", batch["urls"]["contact_sheet"])
        sheet = connection.getresponse()
        assert (sheet.status, sheet.read()[:4]) == (200, b"\x89PNG")
        connection.close()
        bad = safelight("run", str(graph), "--url", server.url, "--set", "1.nothing=1")
        assert bad.returncode == 1
        assert "cannot be varied" in bad.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.seed=1..100", ("3.seed", {"from": 1, "to": 100})),
        ("3.cfg=4..8:0.5", ("3.cfg", {"from": 4, "to": 8, "step": 0.5})),
        ("6.text=a cat,a dog", ("6.text", ["a cat", "a dog"])),
        ("3.steps=20", ("3.steps", [20])),
        ('6.text=["a, b"]', ("6.text", ["a, b"])),
    ],
)
def test_settings_of_run_are_ranges_lists_and_values(text: str, expected: Any) -> None:
    from safelight.cli.run import read_setting

    assert read_setting(text) == expected
