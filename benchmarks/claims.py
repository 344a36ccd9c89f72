"""``python -m benchmarks.claims [--jobs N]``: a fair claim from a long queue, on SQLite and on PostgreSQL.

Makes a queue of N jobs of 500 users (100,000 jobs take some minutes). Claims jobs one after the other, with the
dispatcher's own queue and transactions, and finishes each. ``fair pick`` is the time of the queue's decision and the
claim's transaction, including its commit. Starts a real PostgreSQL server (Debian: ``apt-get install postgresql``).
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.measurements import Result, spread
from rich.console import Console
from rich.table import Table
from tests import postgres

from safelight.core.clock import SystemClock
from safelight.core.ids import JobId, UserId
from safelight.core.job import Fence, JobState, JobSummary
from safelight.core.pool import QueueKey
from safelight.core.user import Principal
from safelight.core.worker import SlotId
from safelight.db import user
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.dispatch.scheduling.affinity import Pick, SlotView
from safelight.dispatch.scheduling.queue import SchedulerQueue
from safelight.services import attempt as attempts
from safelight.services import job as jobs

RESULTS = Path(__file__).parent / "results"
USERS = 500
CLAIMS = 1_000
JOBS_PER_WRITE = 500
PICK_MS = 20.0
PROMPT = {
    "1": {"class_type": "PrimitiveInt", "inputs": {"value": 7}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}
SLOT = SlotView(SlotId("0"), labels=frozenset(), warm=frozenset(), is_idle=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    arguments = parser.parse_args()
    report: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder, postgres.server(fsync=True) as server:
        urls = {
            "sqlite": f"sqlite:///{folder}/claims.db",
            "postgresql": postgres.create_database(server, "claims"),
        }
        for name, url in urls.items():
            report[name] = asyncio.run(measure(url, jobs_count=arguments.jobs))
    report["ratio"] = {key: report["postgresql"][key] / report["sqlite"][key] for key in report["sqlite"]}
    show(report)
    (RESULTS / "claims.json").write_text(json.dumps({"jobs": arguments.jobs, **report}, indent=2) + "\n", "utf-8")


async def measure(url: str, *, jobs_count: int) -> Result:
    """Times in milliseconds; ``submits_per_s`` is measured with ``JOBS_PER_WRITE`` jobs per transaction."""
    db = await Database.open(url, on_commit=lambda events: None, is_server=True)
    try:
        begun = time.perf_counter()
        await fill(db, jobs_count)
        filled_s = time.perf_counter() - begun
        queue = SchedulerQueue(SystemClock(), affinity_wait_s=0)
        for number in range(USERS):
            queue.add(QueueKey(_owner(number).user_id))
        picks, whole = [], time.perf_counter()
        for _ in range(CLAIMS):
            start = time.perf_counter()
            job = await claim(db, queue)
            picks.append(time.perf_counter() - start)
            await finish(db, queue, job)
        whole = time.perf_counter() - whole
        return {
            **{f"fair_pick_{key}": value for key, value in spread(picks).items()},
            "claims_and_finishes_per_s": CLAIMS / whole,
            "submits_per_s": jobs_count / filled_s,
        }
    finally:
        await db.close()


async def fill(db: Database, count: int) -> None:
    def add_users(tx: Transaction) -> None:
        for number in range(USERS):
            who = _owner(number).user_id
            user.ensure(tx.conn, who, name=who, is_admin=False, now=SystemClock().now())

    await db.write(add_users)
    for start in range(0, count, JOBS_PER_WRITE):

        def submit(tx: Transaction, numbers: Iterable[int] = range(start, min(start + JOBS_PER_WRITE, count))) -> None:
            for number in numbers:
                command = jobs.SubmitJob(prompt=PROMPT, targets=["2"], extra_data={}, job_id=JobId(f"job-{number}"))
                jobs.submit(tx, _owner(number % USERS), command=command, now=SystemClock().now())

        await db.write(submit)


async def claim(db: Database, queue: SchedulerQueue) -> JobSummary:
    """Claim the next job as the dispatcher does (``dispatch/slots/claims.py``)."""
    keys = queue.waiting([SLOT])

    pick = Pick(None, None)

    def choose(heads: Iterable[JobSummary]) -> JobSummary | None:
        nonlocal pick
        pick = queue.pick(heads, [SLOT])
        return pick.job

    now = SystemClock().now()
    found = await db.enqueue(lambda tx: attempts.claim_next(tx, keys=keys, choose=choose, now=now), is_durable=False)
    assert found.job is not None, "the queue is empty"
    queue.claimed(pick, found)
    return found.job.summary


async def finish(db: Database, queue: SchedulerQueue, job: JobSummary) -> None:
    fence = Fence(job.id, job.attempt)
    now = SystemClock().now()
    await db.write(lambda tx: attempts.finish(tx, fence, outcome=JobState.COMPLETED, error=None, outputs=(), now=now))
    queue.left_slot(SLOT.slot, job.owner_id, job.id)


def _owner(number: int) -> Principal:
    return Principal(UserId(f"user-{number}"))


def show(report: Mapping[str, Result]) -> None:
    table = Table("", *report, title="claims")
    for key in report["sqlite"]:
        table.add_row(key, *(f"{report[name][key]:.2f}" for name in report))
    console = Console()
    console.print(table)
    for name in ("sqlite", "postgresql"):
        p50 = report[name]["fair_pick_p50_ms"]
        console.print(f"{name}: fair pick p50 {p50:.2f} ms, {'within' if p50 < PICK_MS else 'OVER'} {PICK_MS:.0f} ms")


if __name__ == "__main__":
    main()
