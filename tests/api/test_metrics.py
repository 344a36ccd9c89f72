"""``/metrics``: what a scraper reads, and who may."""

from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.api.accounts import signed_in
from tests.api.conftest import Server, running
from tests.api.engine import start_only
from tests.api.prompts import text

from safelight.settings import Settings

pytestmark = pytest.mark.anyio


async def scrape(server: Server, headers: dict[str, str] | None = None) -> dict[tuple[str, ...], float]:
    """Samples by name and label values, as the library's own parser reads them."""
    answer = await server.client.get("/metrics", headers)
    assert answer.status == 200, answer.text
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_requests_and_writes_are_counted(server: Server) -> None:
    await server.client.get("/api/queue")
    await server.client.get("/api/queue?x=1")
    await server.client.post("/api/prompt", {"prompt": text()})
    found = await scrape(server)
    assert found["safelight_http_request_seconds_count", "GET", "getQueueInfo", "200"] == 2
    assert found["safelight_http_request_seconds_count", "POST", "executePrompt", "200"] == 1
    assert found["safelight_leader",] == 1
    assert found["safelight_slots", "idle"] + found["safelight_slots", "running"] == 1


async def test_the_queue_is_shown_by_pool_with_its_age(server: Server) -> None:
    server.engine.script = start_only
    for _ in range(3):
        await server.client.post("/api/prompt", {"prompt": text()})
    while not server.engine.jobs:
        await server.client.get("/api/queue")
    found = await scrape(server)
    assert found["safelight_queue_jobs", ""] == 2
    assert 0 <= found["safelight_queue_oldest_seconds", ""] < 60


async def test_no_label_names_a_user_or_a_path(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    before = await scrape(server, root)
    for number in range(30):
        _, headers = await signed_in(server, f"user-{number}")
        await server.client.get("/api/jobs", headers)
        await server.client.get(f"/api/jobs/job-{number}", headers)
        await server.client.get(f"/api/no-such-{number}", headers)
        await server.client.get("/api/queue", headers)
    after = await scrape(server, root)
    new = {key for key in after.keys() - before.keys() if not key[0].endswith("_bucket")}
    assert len(new) < 20, new
    assert not any("user-" in label or "no-such" in label for key in after for label in key)


async def test_who_may_read(tmp_path: Path, settings: Settings, migrated: Path) -> None:
    async with running(tmp_path, settings.changed(metrics_token="scraper-secret"), migrated) as server:
        _, root = await signed_in(server, "root", is_admin=True)
        _, anna = await signed_in(server, "anna")
        assert (await server.client.get("/metrics")).status == 401
        assert (await server.client.get("/metrics", anna)).status == 403
        assert (await server.client.get("/metrics", {"authorization": "Bearer scraper-secre"})).status == 401
        await scrape(server, root)
        await scrape(server, {"authorization": "Bearer scraper-secret"})


async def test_each_response_names_its_request(server: Server) -> None:
    answer = await server.client.get("/api/queue", {"x-request-id": "mine"})
    assert answer.headers["x-request-id"] == "mine"
    assert len((await server.client.get("/api/queue")).headers["x-request-id"]) == 32
