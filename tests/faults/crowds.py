"""The dispatcher with one user who has a thousand jobs, and nine who have three each."""

import asyncio
import random
from pathlib import Path

from tests.database import opened
from tests.dispatch.harness import GRACE_S, PROMPT, READY, ManualClock, done
from tests.faults.ledger import Ledger

from safelight.blobs.cache import FileCache
from safelight.blobs.local import LocalBlobStore
from safelight.bus.memory import MemoryBus
from safelight.core.event import Event, JobEnded
from safelight.core.ids import JobId, UserId
from safelight.core.user import Principal
from safelight.core.worker import SlotId
from safelight.db import user
from safelight.db.engine import Database, Transaction
from safelight.dispatch.backends.fake import FakeBackend
from safelight.dispatch.dispatcher import Dispatcher
from safelight.dispatch.files.shared import SharedFiles
from safelight.services import job as jobs
from safelight.services.job import SubmitJob
from safelight.wire import messages as wire

SLOTS = 2
BIG = Principal(UserId("big"))
SMALL = [Principal(UserId(f"small{n}")) for n in range(9)]


async def crowd(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """Promise 8: each of the nine waits for at most one running job of each other user, and all get their share."""
    bus, clock, ended = MemoryBus(), ManualClock(), asyncio.Event()
    async with opened(folder, on_commit=bus.publish) as db:
        await db.write(_add_users)
        await db.write(lambda tx: [_submit(tx, BIG, n, clock) for n in range(1000)])
        backend = FakeBackend([SlotId(f"s{n}") for n in range(SLOTS)], ready=READY)
        blobs = LocalBlobStore(folder / "blobs")
        dispatcher = Dispatcher(
            db=db,
            bus=bus,
            backend=backend,
            transport=SharedFiles(
                files=FileCache(blobs, folder / "cache", max_bytes=0),
                blobs=blobs,
                staging=folder / "staging",
                slots=backend.slots,
                clock=clock,
                sleep=clock.sleep,
            ),
            clock=clock,
            cancel_grace_s=GRACE_S,
            on_ready=lambda engine, ready, digest: None,
            sleep=clock.sleep,
        )

        def hear(event: Event) -> None:
            if isinstance(event, JobEnded):
                ended.set()

        bus.subscribe(hear)
        await dispatcher.start()
        order = await _next_order(db, backend, 0)
        await db.write(lambda tx: [_submit(tx, who, n, clock) for who in rng.sample(SMALL, 9) for n in range(3)])
        begun = len(_orders(backend))
        for number in range(begun - SLOTS, begun - SLOTS + 60):
            order = await _next_order(db, backend, number)
            clock.pass_s(10)
            slot = next(slot for slot, sent in backend.sent if sent is order)
            ended.clear()
            backend.say(slot, done(order))
            await ended.wait()
        started = [order.owner_id for order in _orders(backend)[begun:]]
        await dispatcher.stop()
    ledger.injected("a user with 1,000 jobs beside nine with three")
    last = max(n for n, owner in enumerate(started) if owner != BIG.user_id)
    assert sorted(owner for owner in started if owner != BIG.user_id) == sorted(who.user_id for who in SMALL * 3)
    assert last < len(SMALL) * 3 + 3 * SLOTS + 3, f"the last job of the small users ran as number {last}"
    first = {owner: started.index(owner) for owner in set(started) - {BIG.user_id}}
    assert max(first.values()) <= len(SMALL) + 1, "a user waited for more than one running job of each other user"


def _add_users(tx: Transaction) -> None:
    for who in (BIG, *SMALL):
        user.ensure(tx.conn, who.user_id, name=who.user_id, is_admin=False, now=ManualClock().now())


def _submit(tx: Transaction, who: Principal, number: int, clock: ManualClock) -> None:
    job_id = JobId(f"{who.user_id}-{number}")
    jobs.submit(tx, who, command=SubmitJob(prompt=PROMPT, targets=["2"], job_id=job_id, extra_data={}), now=clock.now())


def _orders(backend: FakeBackend) -> list[wire.RunJob]:
    return [message for _, message in backend.sent if isinstance(message, wire.RunJob)]


async def _next_order(db: Database, backend: FakeBackend, number: int) -> wire.RunJob:
    async with asyncio.timeout(120):
        while len(_orders(backend)) <= number + SLOTS - 1:
            await db.write(lambda tx: None, is_durable=False)
    return _orders(backend)[number]


def run(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    asyncio.run(crowd(folder, rng, ledger))
