"""Comfy API v2 at several servers of one PostgreSQL database: events and batches at any of them, through a kill of the
leader, and one delivery for each end."""

import json
import signal
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.cli.client import get
from tests.cli.server import LIMIT_S, wait_for_nodes
from tests.cli.test_batches import send
from tests.cli.test_replicas import replicas, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORKFLOW = {
    "1": {"class_type": "PrimitiveString", "inputs": {"value": "x"}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}
JOBS = 200


def events(url: str, path: str) -> list[tuple[str, Any]]:
    """All events of a stream until its end."""
    found = []
    with urllib.request.urlopen(url + path, timeout=LIMIT_S) as response:
        for part in response.read().decode().split("\n\n"):
            if part and not part.startswith(":"):
                lines = dict(line.split(": ", 1) for line in part.split("\n"))
                found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_events_come_from_the_server_that_does_not_lead(tmp_path: Path, postgres_url: str) -> None:
    with replicas(tmp_path, postgres_url) as (first, second):
        wait_for_nodes(first.url)
        wait_for_nodes(second.url)
        for at, of in ((first, second), (second, first)):
            status, job = send(at.url, "/api/v2/jobs", {"workflow": WORKFLOW}, key=f"key of {at.url}")
            assert status == 201
            seen = events(of.url, f"/api/v2/jobs/{job['id']}/events")
            assert seen[-1] == ("status", {"status": "succeeded", "queue_position": None})
            again, _ = send(of.url, "/api/v2/jobs", {"workflow": WORKFLOW}, key=f"key of {at.url}")
            assert again == 422, "the key is used, whichever server is asked"


def test_a_batch_survives_the_death_of_the_leader_and_each_end_is_queued_once(
    tmp_path: Path, postgres_url: str
) -> None:
    with replicas(tmp_path, postgres_url) as (first, second):
        wait_for_nodes(second.url)
        hook = {"url": "http://203.0.113.9/hook", "events": ["job.ended", "batch.ended"]}
        assert send(second.url, "/api/v2/webhooks", hook)[0] == 201
        axes = {"1.value": [f"value {number}" for number in range(JOBS)]}
        status, batch = send(second.url, "/api/v2/batches", {"workflow": WORKFLOW, "axes": axes}, key="one batch")
        assert status == 201
        path = f"/api/v2/batches/{batch['id']}"
        seen: list[tuple[str, Any]] = []
        reading = threading.Thread(target=lambda: seen.extend(events(second.url, f"{path}/events")))
        reading.start()
        wait_until(lambda: get(second.url + path)["counts"]["succeeded"] >= 20)
        before = get(second.url + path)["counts"]["succeeded"]
        assert before < JOBS, "the leader dies in the middle"
        first.stop(signal.SIGKILL)
        wait_until(lambda: get(second.url + path)["status"] not in ("queued", "running", "in_progress"))
        counts = get(second.url + path)["counts"]
        assert counts["succeeded"] == JOBS, counts
        reading.join(LIMIT_S)
        assert not reading.is_alive()
        assert seen[-1][1]["counts"]["succeeded"] == JOBS, seen[-1]
        jobs = [job["id"] for job in get(f"{second.url}{path}/jobs?limit=1000")["jobs"]]
        assert len(set(jobs)) == JOBS
        deliveries = get(f"{second.url}/api/v2/webhook-deliveries")["deliveries"]
        assert sum(one["event"] == "batch.ended" for one in deliveries) == 1
        assert sum(one["event"] == "job.ended" for one in deliveries) >= 198, "the latest 200 are listed"
        assert len({one["id"] for one in deliveries}) == len(deliveries)
