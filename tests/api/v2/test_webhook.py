"""Webhooks: what is sent, signed by the public library's rules, retried, listed, and sent again."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from tests.api.accounts import signed_in
from tests.api.conftest import Server
from tests.api.engine import start_only
from tests.api.prompts import text
from tests.api.v2.test_batch import over, post
from tests.api.v2.test_job import ended

from safelight.core.clock import SystemClock
from safelight.core.ids import LOCAL_USER as LOCAL
from safelight.core.user import Quota
from safelight.core.webhook import GIVE_UP, Delivery, DeliveryId, DeliveryState, EndpointId, EventKind, next_attempt
from safelight.db import webhook as rows
from safelight.db.transaction import Transaction
from safelight.services import quota, user

standardwebhooks = pytest.importorskip("standardwebhooks")
pytestmark = pytest.mark.anyio


@dataclass
class Receiver:
    """Mutable: what it was sent; ``status``: what it answers."""

    url: str = ""
    status: int = 204
    received: list[tuple[Mapping[str, str], str]] = field(default_factory=list)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()

    async def take(request: web.Request) -> web.Response:
        found.received.append((dict(request.headers), (await request.read()).decode()))
        return web.Response(status=found.status)

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield found
    finally:
        await runner.cleanup()


async def add(server: Server, url: str, headers: Any = None, **fields: Any) -> Any:
    answer = await server.client.post("/api/v2/webhooks", {"url": url, **fields}, headers=headers)
    assert answer.status == 201, answer.body
    return answer.json


async def run_job(server: Server) -> Any:
    made = await server.client.post("/api/v2/jobs", {"workflow": text(), "metadata": {"n": "1"}})
    return await ended(server.client, made.json["id"])


def replace_delivery(tx: Transaction, *, after: Delivery) -> None:
    rows.replace_delivery(tx.conn, LOCAL, after=after)


async def make_due(server: Server) -> None:
    """Let the pause after a failed attempt be over."""
    now = SystemClock().now()
    for delivery in await server.db.read(lambda tx: rows.deliveries_of(tx.conn, LOCAL, limit=100)):
        if delivery.due_at is not None:
            after = replace(delivery, due_at=now)
            await server.db.write(partial(replace_delivery, after=after))


async def test_the_end_of_a_job_is_sent_with_a_signature(server: Server) -> None:
    async with receiver() as at:
        endpoint = await add(server, at.url)
        job = await run_job(server)
        await server.app.send_webhooks()
        [(headers, body)] = at.received
        sent = standardwebhooks.Webhook(endpoint["secret"]).verify(body, headers)
        assert sent["type"] == "job.ended"
        assert (sent["data"]["id"], sent["data"]["state"], sent["data"]["metadata"]) == (
            job["id"],
            "completed",
            {"n": "1"},
        )
        [delivery] = (await server.client.get("/api/v2/webhook-deliveries")).json["deliveries"]
        assert (delivery["id"], delivery["state"], delivery["attempts"]) == (headers["webhook-id"], "delivered", 1)
        assert "secret" not in (await server.client.get("/api/v2/webhooks")).json["webhooks"][0]


async def test_a_receiver_that_is_away_gets_each_end_once_under_one_id(server: Server) -> None:
    async with receiver() as at:
        endpoint = await add(server, at.url)
        at.status = 503
        jobs = [await run_job(server) for _ in range(3)]
        for _ in range(2):
            await server.app.send_webhooks()
            await make_due(server)
        failed = list(at.received)
        at.received.clear()
        at.status = 200
        await server.app.send_webhooks()
        await make_due(server)
        await server.app.send_webhooks()
        verify = standardwebhooks.Webhook(endpoint["secret"]).verify
        ends = [verify(body, headers)["data"]["id"] for headers, body in at.received]
        assert sorted(ends) == sorted(job["id"] for job in jobs)
        assert {headers["webhook-id"] for headers, _ in failed} == {headers["webhook-id"] for headers, _ in at.received}


async def test_a_batch_has_one_end_and_kinds_are_chosen(server: Server) -> None:
    async with receiver() as at:
        await add(server, at.url, events=["batch.ended"])
        made = (await post(server, {"1.color": [1, 2, 3]})).json
        await over(server, made["id"])
        await server.app.send_webhooks()
        [(_, body)] = at.received
        assert '"batch.ended"' in body
        assert '"succeeded":3' in body


async def test_a_delivery_is_sent_again_by_its_owner(server: Server) -> None:
    async with receiver() as at:
        await add(server, at.url)
        await run_job(server)
        await server.app.send_webhooks()
        [delivery] = (await server.client.get("/api/v2/webhook-deliveries")).json["deliveries"]
        answer = await server.client.post(f"/api/v2/webhook-deliveries/{delivery['id']}/resend")
        assert answer.json["state"] == "waiting"
        assert (await server.client.post(f"/api/v2/webhook-deliveries/{delivery['id']}/resend")).status == 409
        await server.app.send_webhooks()
        assert [headers["webhook-id"] for headers, _ in at.received] == [delivery["id"]] * 2


async def test_a_spent_budget_is_told_once(server: Server) -> None:
    who, anna = await signed_in(server, "anna")
    await server.db.write(lambda tx: user.set_quota(tx, name="anna", quota=Quota(device_s=10.0)))
    async with receiver() as at:
        await add(server, at.url, headers=anna, events=["quota.reached"])
        now = SystemClock().now()
        for _ in range(4):
            await server.db.write(lambda tx: quota.use_device(tx, who.user_id, seconds=4.0, now=now))
        await server.app.send_webhooks()
        [(_, body)] = at.received
        assert '"quota":"device_s","limit":10' in body


async def test_private_addresses_get_nothing(server: Server) -> None:
    await add(server, "http://10.0.0.1/hook")
    await run_job(server)
    await server.app.send_webhooks()
    [delivery] = (await server.client.get("/api/v2/webhook-deliveries")).json["deliveries"]
    assert delivery["state"] == "waiting"
    assert "public" in delivery["error"]


async def test_webhooks_of_another_user_answer_as_none(server: Server) -> None:
    _, anna = await signed_in(server, "anna")
    _, ben = await signed_in(server, "ben")
    endpoint = await add(server, "https://example.org/hook", headers=anna)
    for endpoint_id in (endpoint["id"], "none"):
        answer = await server.client.request("DELETE", f"/api/v2/webhooks/{endpoint_id}", headers=ben)
        assert answer.status == 404
    assert (await server.client.get("/api/v2/webhooks", headers=ben)).json["webhooks"] == []
    assert (await server.client.request("DELETE", f"/api/v2/webhooks/{endpoint['id']}", headers=anna)).status == 204


@pytest.mark.parametrize("fields", [{}, {"url": "ftp://x"}, {"url": "http://x", "events": ["x"]}, {"url": 1}], ids=str)
async def test_invalid_webhooks_are_refused(server: Server, fields: Any) -> None:
    assert (await server.client.post("/api/v2/webhooks", fields)).status == 422


def test_attempts_are_repeated_for_a_day_with_growing_pauses() -> None:
    now = SystemClock().now()
    delivery = Delivery(
        id=DeliveryId("m"), owner_id=LOCAL, endpoint_id=EndpointId("e"), kind=EventKind.JOB_ENDED, body="",
        state=DeliveryState.WAITING, attempts=0, created_at=now, due_at=now,
    )  # fmt: skip
    pauses, at = [], now
    while (following := next_attempt(delivery, at)) is not None:
        pauses.append((following - at).total_seconds())
        at = following
        delivery = replace(delivery, attempts=delivery.attempts + 1)
    assert pauses == sorted(pauses)
    assert pauses[0] == 5
    assert GIVE_UP - timedelta(hours=1) < at - now <= GIVE_UP


async def test_a_refusal_because_of_a_quota_is_told_once_an_hour(server: Server) -> None:
    _, headers = await signed_in(server, "ann")
    limits = Quota(stored_bytes=2000, queued_jobs=1)
    await server.db.write(lambda tx: user.set_quota(tx, name="ann", quota=limits))
    async with receiver() as hook:
        await add(server, hook.url, headers, events=["quota.reached"])
        server.engine.script = start_only
        for _ in range(5):
            last = await server.client.post("/api/v2/jobs", {"workflow": text()}, headers=headers)
        assert last.status == 429
        big = {"workflow_json": {"text": "x" * 3000}, "name": "big"}
        for number in range(2):
            path = f"/api/userdata/big{number}.json"
            assert (await server.client.post(path, big, headers=headers)).status in (400, 413)
        while await server.app.send_webhooks():
            pass
        told = sorted(json.loads(body)["data"]["quota"] for _, body in hook.received)
        assert told == ["queued_jobs", "stored_bytes"]


async def test_an_endpoint_that_is_there_again_gets_what_it_has_missed_at_once(server: Server) -> None:
    async with receiver() as hook:
        await add(server, hook.url)
        hook.status = 503
        jobs = [(await run_job(server))["id"] for _ in range(3)]
        await server.app.send_webhooks()
        hook.status, hook.received = 204, []
        jobs.append((await run_job(server))["id"])
        await server.app.send_webhooks()
        ids = [json.loads(body)["data"]["id"] for _, body in hook.received]
        assert sorted(ids) == sorted(jobs)
