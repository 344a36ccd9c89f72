"""Sends webhooks: the deliveries that are due, a few at a time, through the client that reaches public addresses only.
The server that leads does this."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from safelight.bus.bus import Bus
from safelight.core.clock import Clock
from safelight.core.errors import SafelightError
from safelight.core.event import Event, WebhookQueued
from safelight.core.webhook import Delivery, DeliveryState, Endpoint, next_attempt
from safelight.db import webhook as rows
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.services.egress import Egress

if TYPE_CHECKING:
    from standardwebhooks import Webhook

log = logging.getLogger(__name__)

AT_ONCE = 16
LIMIT_S = 15.0
"""Longest time of one attempt."""
LOOK_S = 30.0
"""Longest time between two looks for what is due."""
KEPT = timedelta(days=7)
"""How long deliveries that are over are shown."""


class WebhookSender:
    """Mutable: the task that sends while this server leads."""

    def __init__(self, db: Database, clock: Clock, bus: Bus, egress: Egress) -> None:
        self._db = db
        self._clock = clock
        self._egress = egress
        self._queued = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        bus.subscribe(self._on_event)

    def start(self) -> None:
        self._task = self._task or asyncio.create_task(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def send_due(self) -> int:
        """Try the deliveries that are due, and return how many there were."""
        now = self._clock.now()
        due = await self._db.read(lambda tx: rows.due(tx.conn, now=now, limit=AT_ONCE))
        await asyncio.gather(*(self._try(delivery) for delivery in due))
        return len(due)

    async def _run(self) -> None:
        while True:
            self._queued.clear()
            pause_s = LOOK_S
            try:
                while await self.send_due():
                    pass
                following = await self._db.write(self._forget_old, is_durable=False)
                if following is not None:
                    pause_s = min(pause_s, max((following - self._clock.now()).total_seconds(), 0.0) + 0.05)
            except SafelightError as error:
                log.warning("webhooks could not be sent: %s", error)
            try:
                await asyncio.wait_for(self._queued.wait(), pause_s)
            except TimeoutError:
                continue

    def _forget_old(self, tx: Transaction) -> datetime | None:
        """Returns when the next attempt is due."""
        rows.forget(tx.conn, before=self._clock.now() - KEPT)
        return rows.next_due(tx.conn)

    async def _try(self, delivery: Delivery) -> None:
        owner_id, endpoint_id = delivery.owner_id, delivery.endpoint_id
        endpoint = await self._db.read(lambda tx: rows.find_endpoint(tx.conn, owner_id, endpoint_id=endpoint_id))
        error = "the webhook was removed" if endpoint is None else await self._post(endpoint, delivery)
        now, attempts = self._clock.now(), delivery.attempts + 1
        if error is None:
            after = replace(
                delivery,
                state=DeliveryState.DELIVERED,
                attempts=attempts,
                due_at=None,
                delivered_at=now,
                error=None,
            )
        else:
            due_at = None if endpoint is None else next_attempt(delivery, now)
            state = DeliveryState.FAILED if due_at is None else DeliveryState.WAITING
            after = replace(delivery, state=state, attempts=attempts, due_at=due_at, error=error[:500])

        def store(tx: Transaction) -> None:
            rows.replace_delivery(tx.conn, owner_id, after=after)
            if error is None:  # the endpoint is there again: what it has missed need not wait for its next attempt
                rows.make_due(tx.conn, owner_id, endpoint_id=endpoint_id, now=now)

        await self._db.write(store)

    async def _post(self, endpoint: Endpoint, delivery: Delivery) -> str | None:
        """``None``, or why the attempt failed. Any answer of status 200 to 299 within :data:`LIMIT_S` is a success."""
        import aiohttp

        try:
            async with asyncio.timeout(LIMIT_S):
                status = await self._egress.post(
                    endpoint.url, headers=self._headers(endpoint, delivery), body=delivery.body.encode()
                )
        except (aiohttp.ClientError, OSError, TimeoutError, SafelightError) as error:
            return str(error) or type(error).__name__
        return None if 200 <= status < 300 else f"the endpoint answered with status {status}"

    def _headers(self, endpoint: Endpoint, delivery: Delivery) -> Mapping[str, str]:
        now = self._clock.now()
        return {
            "content-type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": _webhook(endpoint.secret).sign(delivery.id, now, delivery.body),
        }

    def _on_event(self, event: Event) -> None:
        if isinstance(event, WebhookQueued):
            self._queued.set()


def _webhook(secret: str) -> "Webhook":
    from standardwebhooks import Webhook  # needed by users with webhooks only

    return Webhook(secret)
