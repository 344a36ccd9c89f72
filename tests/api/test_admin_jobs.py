"""``/api/admin/jobs``: every user's jobs, for administrators; and the end of the jobs of a user who is disabled."""

from collections.abc import Mapping

import pytest
from tests.api.accounts import signed_in
from tests.api.conftest import Server
from tests.api.engine import start_only
from tests.api.prompts import text

from safelight.core.clock import SystemClock
from safelight.db.engine import Database
from safelight.services import user as users
from safelight.settings import Settings
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio

JOBS = "/api/admin/jobs"


async def submit(server: Server, headers: Mapping[str, str]) -> str:
    job_id: str = (await server.client.post("/api/prompt", {"prompt": text()}, headers=headers)).json["prompt_id"]
    return job_id


async def until_running(server: Server, count: int = 1) -> None:
    while len(server.engine.jobs) < count:
        await server.client.get("/health")


async def test_an_administrator_sees_cancels_and_deletes_any_job(server: Server) -> None:
    anna, hers = await signed_in(server, "anna")
    _, root = await signed_in(server, "root", is_admin=True)
    server.engine.script = start_only
    client = server.client
    first, second, third = [await submit(server, hers) for _ in range(3)]
    await until_running(server)

    running = (await client.get(JOBS, headers=root)).json
    [job] = running["jobs"]
    assert (job["id"], job["user"], job["user_name"], job["status"]) == (first, anna.user_id, "anna", "in_progress")
    queued = (await client.get(f"{JOBS}?status=queued&limit=1", headers=root)).json
    assert ([job["id"] for job in queued["jobs"]], queued["pagination"]["has_more"]) == ([second], True)
    shown = (await client.get(f"{JOBS}/{anna.user_id}/{first}", headers=root)).json
    assert shown["node_types"]
    assert "inputs" not in str(shown)

    assert (await client.request("DELETE", f"{JOBS}/{anna.user_id}/{first}", headers=root)).status == 409
    path = f"{JOBS}/{anna.user_id}/{first}/cancel"
    assert (await client.post(path, {}, headers=root)).json == {"cancelled": True}
    assert (await client.post(path, {}, headers=root)).json == {"cancelled": False}
    while not any(isinstance(message, wire.CancelJob) for _, message in server.backend.sent):
        await client.get("/health")

    assert (await client.request("DELETE", f"{JOBS}/{anna.user_id}/{third}", headers=root)).json == {"deleted": True}
    assert (await client.get(f"/api/jobs/{third}", headers=hers)).status == 404
    assert (await client.get(f"{JOBS}/{anna.user_id}/{third}", headers=root)).status == 404
    assert (await client.get(f"/api/jobs/{second}", headers=hers)).json["status"] in ("pending", "in_progress")


async def test_others_are_refused(server: Server) -> None:
    anna, hers = await signed_in(server, "anna")
    _, bens = await signed_in(server, "ben")
    job_id = await submit(server, hers)
    one = f"{JOBS}/{anna.user_id}/{job_id}"
    for method, path in (("GET", JOBS), ("GET", one), ("POST", f"{one}/cancel"), ("DELETE", one)):
        for headers in (bens, hers):
            assert (await server.client.request(method, path, headers=headers)).status == 403
        assert (await server.client.request(method, path)).status == 401
        refused = await server.client.request(method, path.replace(job_id, "none"), headers=bens)
        assert refused.status == 403


async def test_the_jobs_of_a_user_who_is_disabled_end(server: Server, settings: Settings) -> None:
    _, hers = await signed_in(server, "anna")
    _, root = await signed_in(server, "root", is_admin=True)
    server.engine.script = start_only
    first, second = [await submit(server, hers) for _ in range(2)]
    await until_running(server)
    command = await Database.open(settings.database, on_commit=lambda events: None)  # in a process of its own
    await command.write(lambda tx: users.disable(tx, name="anna", disabled=True, now=SystemClock().now()))
    await command.close()
    while (await server.client.get(JOBS, headers=root)).json["jobs"]:  # the engine ends its job when it is cancelled
        pass
    assert [m.job_id for _, m in server.backend.sent if isinstance(m, wire.CancelJob)] == [first]
    ended = (await server.client.get(f"{JOBS}?status=ended", headers=root)).json["jobs"]
    assert {(job["id"], job["status"], job["cancel_requested"]) for job in ended} == {
        (first, "cancelled", True),
        (second, "cancelled", True),
    }
