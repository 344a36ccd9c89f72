"""The bus of several servers, on a real PostgreSQL: what one tells, the other hears, in order and with the commit."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from tests.postgres import execute

from safelight.bus.postgres import SKEW_S, PostgresBus
from safelight.core.event import (
    CallProgressed,
    CallReported,
    Event,
    EventsMissed,
    JobEnded,
    JobQueued,
    MessageSent,
    NodeCall,
    PreviewMade,
    QueueChanged,
)
from safelight.core.ids import JobId, UserId
from safelight.core.job import JobState
from safelight.db.engine import Database
from safelight.db.transaction import Transaction

pytestmark = pytest.mark.anyio

ANNA, BEN = UserId("anna"), UserId("ben")
CALL = NodeCall("1", "1", None, "1")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
LIMIT_S = 20.0


def words(job: str = "j", owner: UserId = ANNA) -> dict[str, object]:
    return {"owner_id": owner, "job_id": JobId(job), "client_id": None, "at": NOW}


def count(number: int) -> Event:
    return QueueChanged(ANNA, number)


@dataclass
class Replica:
    bus: PostgresBus
    db: Database
    heard: list[Event] = field(default_factory=list)

    async def until(self, holds: Callable[[list[Event]], bool]) -> list[Event]:
        deadline = time.monotonic() + LIMIT_S
        while not holds(self.heard):
            assert time.monotonic() < deadline, self.heard
            await asyncio.sleep(0.005)
        return self.heard

    async def tell(self, *events: Event) -> None:
        def work(tx: Transaction) -> None:
            for event in events:
                tx.emit(event)

        await self.db.write(work)


@contextlib.asynccontextmanager
async def replica(
    url: str,
    name: str,
    *,
    ends: Sequence[Event] = (),
    is_watched: Callable[[UserId], bool] = lambda owner: owner == ANNA,
) -> AsyncIterator[Replica]:
    bus = PostgresBus(name)
    db = await Database.open(url, on_commit=bus.on_commit, announce=bus.announce)
    made = Replica(bus, db)
    bus.subscribe(made.heard.append)

    async def recover(since: datetime) -> Sequence[Event]:
        assert datetime.now(UTC) - since > timedelta(seconds=SKEW_S)
        return ends

    await bus.start(db, url=url, recover=recover, is_watched=is_watched)
    try:
        yield made
    finally:
        await bus.stop()
        await db.close()


async def test_all_hear_everything_in_order_whether_with_a_commit_or_beside(postgres_url: str) -> None:
    async with replica(postgres_url, "a") as a, replica(postgres_url, "b") as b:
        told: list[Event] = []
        for number in range(0, 60, 3):
            a.bus.publish([count(number)])
            await a.tell(count(number + 1), count(number + 2))
            told += [count(number), count(number + 1), count(number + 2)]
        assert a.heard == told
        assert await b.until(lambda heard: len(heard) >= len(told)) == told
        b.bus.publish([count(-1)])
        assert (await a.until(lambda heard: len(heard) > len(told)))[-1] == count(-1)
        assert b.heard == [*told, count(-1)]


async def test_what_is_not_committed_is_not_told(postgres_url: str) -> None:
    async with replica(postgres_url, "a") as a, replica(postgres_url, "b") as b:

        def fail(tx: Transaction) -> None:
            tx.emit(count(1))
            raise RuntimeError("undone")

        with pytest.raises(RuntimeError):
            await a.db.write(fail)
        await a.tell(count(2))
        assert await b.until(bool) == a.heard == [count(2)]


async def test_of_progress_the_latest_is_told(postgres_url: str) -> None:
    async with replica(postgres_url, "a") as a, replica(postgres_url, "b") as b:
        steps = [
            CallReported(**words(), event=CallProgressed(call=CALL, value=float(n), total=1000.0)) for n in range(1000)
        ]
        other = CallReported(**words("other"), event=CallProgressed(call=CALL, value=1.0, total=2.0))
        a.bus.publish([steps[0], other, *steps[1:]])
        assert await b.until(lambda heard: len(heard) >= 2) == [other, steps[-1]]
        assert len(a.heard) == 1001


async def test_what_is_too_large_for_one_notice_is_told_in_pieces(postgres_url: str) -> None:
    async with replica(postgres_url, "a") as a, replica(postgres_url, "b") as b:
        noise = [f"{n * 2654435761 % 2**32:x}" for n in range(20_000)]
        large = CallReported(**words(), event=MessageSent(call=CALL, name="pack.data", data=noise))
        await asyncio.gather(a.tell(large, count(1)), a.tell(count(2)))
        assert await b.until(lambda heard: len(heard) >= 3) == [large, count(1), count(2)]


async def test_a_picture_is_read_where_somebody_watches_and_forgotten_with_its_job(postgres_url: str) -> None:
    async with replica(postgres_url, "a") as a, replica(postgres_url, "b") as b:
        picture = PreviewMade(CALL, b"\xff\xd8" * 50_000, "image/jpeg")
        shown = CallReported(**words(), event=picture)
        unseen = CallReported(**words("k", BEN), event=picture)
        a.bus.publish([unseen, shown])
        assert await b.until(bool) == [shown]
        assert execute(postgres_url, "SELECT job_id, length(image) FROM preview ORDER BY 1") == "j|100000\nk|100000\n"
        assert execute(postgres_url, "SELECT relpersistence FROM pg_class WHERE relname = 'preview'") == "u\n"
        await a.tell(*(JobEnded(**words(j), state=JobState.COMPLETED) for j in ("j", "k")))
        assert execute(postgres_url, "SELECT count(*) FROM preview") == "0\n"


async def test_secrets_of_a_job_are_not_told(postgres_url: str) -> None:
    async with replica(postgres_url, "a") as a, replica(postgres_url, "b") as b:
        await a.tell(JobQueued(**words(), secrets={"api_key_comfy_org": "k"}))
        assert await b.until(bool) == [JobQueued(**words())]
        assert a.heard == [JobQueued(**words(), secrets={"api_key_comfy_org": "k"})]


async def test_after_a_broken_connection_the_ends_that_may_have_been_missed_are_told_once(postgres_url: str) -> None:
    known, missed = (JobEnded(**words(j), state=JobState.COMPLETED, executed=[]) for j in ("known", "missed"))
    async with replica(postgres_url, "a") as a, replica(postgres_url, "b", ends=(known, missed)) as b:
        await a.tell(known)
        await b.until(bool)
        execute(postgres_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        assert await b.until(lambda heard: len(heard) >= 3) == [known, EventsMissed(), missed]
        b.heard.clear()
        await a.tell(count(1))
        assert await b.until(bool) == [count(1)]


async def test_a_notice_of_something_else_hurts_nobody(postgres_url: str) -> None:
    async with replica(postgres_url, "a") as a, replica(postgres_url, "b") as b:
        for notice in ("", "hello", "x 1/1 ~~~", "y 2/2 abc", "z a/b c"):
            execute(postgres_url, f"SELECT pg_notify('safelight', '{notice}')")
        await a.tell(count(1))
        assert await b.until(bool) == [count(1)]
