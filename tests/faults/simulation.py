"""The dispatcher and the state machine of jobs under seeded faults: a real database, a manual clock, and fake engines
that send what the seed decides, even after they were replaced. In every second world engines outlive the dispatcher,
which may also be killed, and the next one reattaches to them; in every third, idle slots are stopped. The promises are
checked after every step.
"""

import asyncio
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2
from tests.database import ANNA, BEN, opened
from tests.dispatch.harness import GRACE_S, PROMPT, READY, ManualClock, call, done, of, picture
from tests.events import output, report
from tests.faults.ledger import Ledger

from safelight.blobs.cache import FileCache
from safelight.blobs.local import LocalBlobStore
from safelight.bus.memory import MemoryBus
from safelight.core.engine_kind import ONLY_OWN, OWN, EngineKind
from safelight.core.errors import Unavailable
from safelight.core.event import CallStarted, Event, JobEnded, JobEvent, JobForgotten
from safelight.core.ids import JobId
from safelight.core.job import JobError, JobState
from safelight.core.retry import MAX_ATTEMPTS
from safelight.core.user import Principal
from safelight.core.worker import SlotId
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.dispatch.attempts.infra_failures import SHUT_S
from safelight.dispatch.backends.fake import FakeBackend
from safelight.dispatch.dispatcher import Dispatcher
from safelight.dispatch.files.shared import SharedFiles
from safelight.dispatch.journal import JournalWriter
from safelight.services import job as jobs
from safelight.services.job import SubmitJob
from safelight.services.placement import Placement
from safelight.wire import messages as wire

SLOTS = 3
COMFYUI = EngineKind("comfyui")
ABILITIES = (ONLY_OWN, frozenset([COMFYUI]), frozenset([OWN, COMFYUI]))
"""In half of the worlds, the last slot is of another engine kind, and jobs differ in which kinds can run them."""
STEPS = 40
OUTLIVE_S = 30.0
IDLE_S = 15.0
PATIENCE = 100
"""Maximum turns of the event loop that pending work may take."""
OUTCOMES = (JobState.COMPLETED, JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)
SAID = JobError("ValueError", "said by an engine")
_RUNS = "SELECT id, state, attempt, cancel_requested FROM job WHERE id LIKE ?"
_ENDS = "SELECT id, state, attempt, error FROM job WHERE id LIKE ?"
_OUTPUTS = """SELECT job.id, job.attempt, job_output.attempt, ui FROM job_output JOIN job ON job.seq = job_seq
              WHERE job.id LIKE ?"""
_ASSETS = """SELECT job.id, job.attempt, asset.attempt, published, filename FROM asset JOIN job ON job.id = job_id
             WHERE job.id LIKE ?"""
_FILES = "SELECT filename FROM asset JOIN job ON job.id = job_id WHERE published AND state IN ('queued', 'running')"


async def simulate(folder: Path, seeds: range, ledger: Ledger, *, is_over: Callable[[], bool] = lambda: False) -> int:
    """Simulate one world per seed on one database; return the number of worlds."""
    bus = MemoryBus()
    count = 0
    async with opened(folder, on_commit=bus.publish) as db:
        await db.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA busy_timeout=0").all())
        for seed in seeds:
            if is_over():
                break
            try:
                await _World(db, bus, folder, seed, ledger).live()
            except BaseException as error:
                error.add_note(f"simulation seed {seed}")
                raise
            count += 1
    return count


@dataclass
class _Seen:
    """The last known state of a job, which may only advance."""

    state: str = "queued"
    attempt: int = 0
    releases: int = 0


@dataclass
class _World:
    """Mutable."""

    db: Database
    bus: MemoryBus
    folder: Path
    seed: int
    ledger: Ledger
    seen: dict[str, _Seen] = field(default_factory=dict)
    owners: dict[str, Principal] = field(default_factory=dict)
    engines: dict[str, frozenset[EngineKind]] = field(default_factory=dict)
    ended: dict[str, JobState] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    said: set[tuple[str, int, JobState]] = field(default_factory=set)
    pictures: int = 0
    lock: Any = None

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.clock = ManualClock()
        self.blobs = LocalBlobStore(self.folder / "blobs")
        self.detached_s = OUTLIVE_S if self.seed % 2 else 0.0
        slots = [SlotId(f"s{n}") for n in range(SLOTS)]
        self.kinds = {slots[-1]: COMFYUI} if self.seed % 4 < 2 else {}
        self.backend = FakeBackend(slots, ready=READY, detached_s=self.detached_s)
        self.dispatcher = self._new_dispatcher()

    def _new_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            db=self.db,
            bus=self.bus,
            backend=self.backend,
            transport=SharedFiles(
                files=FileCache(self.blobs, self.folder / "cache", max_bytes=0),
                blobs=self.blobs,
                staging=self.folder / "staging",
                slots=self.backend.slots,
                clock=self.clock,
                sleep=self.clock.sleep,
            ),
            clock=self.clock,
            cancel_grace_s=GRACE_S,
            on_ready=lambda engine, ready, digest: None,
            engines=self.kinds,
            preference=[OWN, COMFYUI],
            idle_timeout_s=IDLE_S if self.seed % 3 == 0 else 0.0,
            sleep=self.clock.sleep,
        )

    async def live(self) -> None:
        unsubscribe = self.bus.subscribe(self._hear)
        await self.dispatcher.start()
        try:
            acts = (self._submit, self._submit, self._cancel, self._work, self._work, self._work, self._speak_late)
            faults = (
                self._crash,
                self._mislay,
                self._lock_database,
                self._fail_commit,
                self._restart,
                self._kill,
                self._pass_time,
            )
            for _ in range(STEPS):
                act = self.rng.choice(acts if self.rng.random() < 0.75 else faults)
                await act()
                if self.rng.random() < 0.8:  # otherwise the next act comes before this one has taken effect
                    await self._settle()
                await self._check()
            await self._drain()
        finally:
            self._unlock()
            await self.dispatcher.stop()
            unsubscribe()

    def _hear(self, event: Event) -> None:
        """Promise 2, as listeners see it: one end, and nothing after it."""
        if isinstance(event, JobEvent) and not isinstance(event, JobForgotten):
            if event.job_id in self.ended:
                self.late.append(f"{event} after the end of its job")
            if isinstance(event, JobEnded):
                self.ended[event.job_id] = event.state

    # -- what happens --

    async def _submit(self) -> None:
        if self.lock is not None:
            return
        who, name = self.rng.choice((ANNA, BEN)), f"{self.seed}-{len(self.seen)}"
        engines = self.rng.choice(ABILITIES) if self.kinds else ONLY_OWN
        placement = Placement(engines=engines)
        command = SubmitJob(prompt=PROMPT, targets=["2"], job_id=JobId(name), extra_data={}, placement=placement)
        self.seen[name], self.owners[name], self.engines[name] = _Seen(), who, engines
        await self.db.write(lambda tx: jobs.submit(tx, who, command=command, now=self.clock.now()))

    async def _cancel(self) -> None:
        if self.lock is not None or not self.seen:
            return
        name = self.rng.choice(list(self.seen))
        self.ledger.injected("simulated: a cancel")
        who = self.owners[name]
        await self.db.write(lambda tx: jobs.cancel(tx, who, job_id=JobId(name), now=self.clock.now()))

    def _orders(self) -> list[tuple[SlotId, wire.RunJob]]:
        return [(slot, order) for slot, order in self.backend.sent if isinstance(order, wire.RunJob)]

    async def _work(self) -> None:
        """An engine continues its latest order."""
        latest = dict(self._orders())
        if latest:
            slot = self.rng.choice(sorted(latest))
            self._say(slot, latest[slot])

    async def _speak_late(self) -> None:
        """Promise 3: any slot answers any order, perhaps one that ended long ago."""
        if orders := self._orders():
            _, order = self.rng.choice(orders)
            self.ledger.injected("simulated: a late message of an engine")
            self._say(SlotId(f"s{self.rng.randrange(SLOTS)}"), order)

    def _say(self, slot: SlotId, order: wire.RunJob) -> None:
        """Send a random message about an order; each output is marked with its attempt."""
        mark = f"{order.job_id}/{order.attempt}"
        match self.rng.randrange(4):
            case 0:
                self.backend.say(slot, report(CallStarted(call=call("2")), **of(order)))
            case 1:
                self.backend.say(slot, output(**of(order), call=call("2"), ui={"text": [mark]}))
            case 2 if Path(order.staging).exists():
                self.pictures += 1
                name = f"{self.seed}-{self.pictures}_00001_.png"
                with suppress(FileNotFoundError):  # the folder of a late attempt may be removed at any time
                    self.backend.say(slot, picture(order, name, f"{mark} {name}".encode()))
            case _:
                self._say_done(slot, order, self.rng.choice(OUTCOMES))

    def _say_done(self, slot: SlotId, order: wire.RunJob, outcome: JobState) -> None:
        self.said.add((order.job_id, order.attempt, outcome))
        self.backend.say(slot, done(order, outcome, error=SAID if outcome is JobState.FAILED else None))

    async def _crash(self) -> None:
        self.ledger.injected("simulated: the death of an engine")
        self.backend.crash(SlotId(f"s{self.rng.randrange(SLOTS)}"), "died")

    async def _mislay(self) -> None:
        """A machine without disk space: an attempt is lost through no fault of its node; three in a row shut the
        slot."""
        if orders := self._orders():
            slot, order = self.rng.choice(orders[-SLOTS:])
            self.ledger.injected("simulated: an attempt that is lost beside its node")
            self.seen[order.job_id].releases += 1
            self.backend.say(slot, wire.AttemptLost(**of(order), reason="no space"))

    async def _lock_database(self) -> None:
        if self.lock is not None:
            self._unlock()
            return
        await self._settle()
        self.ledger.injected("simulated: a lock on the database")
        self.lock = dbapi2.connect(self.folder / "test.db", isolation_level=None, timeout=5)
        self.lock.execute("BEGIN IMMEDIATE")

    def _unlock(self) -> None:
        if self.lock is not None:
            self.lock.close()
            self.lock = None
            self.clock.pass_s(60)

    async def _fail_commit(self) -> None:
        """A disk that fails in the middle of a group: what was decided in it, and perhaps begun, is undone. The writes
        before it are those of an end and a claim, where an engine has just finished."""
        if self.lock is not None:
            return
        await self._settle()
        gate = threading.Event()
        held = self.db.enqueue(lambda tx: gate.wait(5))
        for slot, order in dict(self._orders()).items():
            if self.rng.random() < 0.7:
                self._say_done(slot, order, self.rng.choice(OUTCOMES))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.ledger.injected("simulated: a commit that fails")
        failing = self.db.enqueue(_fail)
        gate.set()
        await asyncio.gather(held, failing, return_exceptions=True)
        await self._settle()
        self.clock.pass_s(60)  # what could not be stored is stored again

    async def _restart(self) -> None:
        """An orderly restart, which costs no job an attempt."""
        self._unlock()
        self.ledger.injected("simulated: a restart of the dispatcher")
        await self.dispatcher.stop()
        finish_threads()
        for seen in self.seen.values():
            seen.releases += 1
        await self._succeed(
            {slot: work for slot, work in self.backend.journals.items() if slot in self.backend.detached}
        )

    async def _kill(self) -> None:
        """Kill the dispatcher; its last writes may or may not be done."""
        self._unlock()
        self.ledger.injected("simulated: the death of the dispatcher")
        await kill(self.dispatcher)
        await self.backend.stop()
        works = self.backend.journals if self.detached_s else {}
        for seen in self.seen.values():
            seen.releases += not self.detached_s
        await self._succeed({slot: work for slot, work in works.items() if self.rng.random() < 0.8})

    async def _succeed(self, works: Mapping[SlotId, JournalWriter]) -> None:
        """Start another dispatcher, which reattaches to ``works``; some messages reach it a second time."""
        orders = {slot: order for slot, order in self._orders() if slot in works}
        again: list[tuple[SlotId, wire.ToServer]] = []
        handed: dict[SlotId, JournalWriter] = {}
        for slot, work in works.items():
            said = [message for _, message in work.journal().messages]
            acknowledged = self.rng.randint(max(0, len(said) - 2), len(said))
            handed[slot] = JournalWriter(orders[slot], ready=READY, generation=0)
            for message in said[:acknowledged]:
                handed[slot].record(message, at_ms=0)
            again += [(slot, message) for message in said[acknowledged:]]
            self.ledger.injected("simulated: an attempt that outlives its dispatcher")
        late = [slot for slot in handed if self.rng.random() < 0.3]
        self.backend = FakeBackend(
            self.backend.slots, ready=READY, detached_s=self.detached_s, journals=handed, late=late
        )
        self.backend.sent += orders.items()
        self.dispatcher = self._new_dispatcher()
        await self.dispatcher.start()
        if self.rng.random() < 0.5:
            self.clock.pass_s(self.rng.uniform(0, 2 * OUTLIVE_S))
            await self._settle()
        for slot in late:
            self.backend.begin(slot)
        await asyncio.sleep(0)
        for slot, message in again:
            self.backend.say(slot, message)

    async def _pass_time(self) -> None:
        self.clock.pass_s(self.rng.uniform(0, 2 * GRACE_S))

    async def _settle(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            if self.lock is None:
                await self.db.write(lambda tx: None, is_durable=False)

    # -- invariants --

    async def _rows(self) -> Sequence[Any]:
        return await self.db.read(lambda tx: tx.conn.exec_driver_sql(_RUNS, (f"{self.seed}-%",)).all())

    async def _check(self) -> None:
        for slot, order in self._orders():
            assert self.kinds.get(slot, OWN) in self.engines[order.job_id], "an engine that cannot run the job got it"
        rows = await self._rows()
        for _ in range(PATIENCE):
            # The end of an attempt that could not be stored immediately may be stored after its slot's next claim.
            if self.lock is not None or sum(state == "running" for _, state, _, _ in rows) <= SLOTS:
                break
            await self._settle()
            rows = await self._rows()
        running = 0
        for name, state, attempt, _ in rows:
            seen = self.seen[name]
            assert seen.state not in ("completed", "failed", "cancelled") or state == seen.state, "one terminal state"
            assert attempt >= seen.attempt, "the fence never falls"
            assert attempt <= MAX_ATTEMPTS + seen.releases, "retries have a limit"
            running += state == "running"
            seen.state, seen.attempt = state, attempt
        assert running <= SLOTS or self.lock is not None
        assert self.late == []
        assert len(rows) == len(self.seen), "what was accepted is there"
        assert await self.db.read(lambda tx: tx.conn.exec_driver_sql(_FILES).all()) == []

    async def _drain(self) -> None:
        """Promise 2: once engines work again, every job ends."""
        self._unlock()
        answered: set[int] = set()  # orders; a claim that could not be saved is made again, under the same attempt
        self.clock.pass_s(SHUT_S)
        async with asyncio.timeout(120):
            while any(seen.state in ("queued", "running") for seen in self.seen.values()):
                for slot, order in self._orders():
                    if id(order) not in answered:
                        answered.add(id(order))
                        self._say_done(slot, order, JobState.COMPLETED)
                self.clock.pass_s(GRACE_S)
                await self._settle()
                await self._check()
        await self._settle()
        await self._check()
        assert {name: str(state) for name, state in self.ended.items()} == {n: s.state for n, s in self.seen.items()}
        await self._check_causes()

    async def _check_causes(self) -> None:
        """Promise 3: the end of a job, and every output, comes from its last attempt (or from its loss)."""
        rows = await self.db.read(lambda tx: tx.conn.exec_driver_sql(_ENDS, (f"{self.seed}-%",)).all())
        for name, state, attempt, error in rows:
            if state == "completed" or (state == "failed" and SAID.exception_message in error):
                assert (name, attempt, state) in self.said, f"no engine reported {name} as {state} at attempt {attempt}"
        outputs = await self.db.read(lambda tx: tx.conn.exec_driver_sql(_OUTPUTS, (f"{self.seed}-%",)).all())
        for name, last, attempt, ui in outputs:
            assert attempt == last, f"{name} has outputs of attempt {attempt}, and ended at {last}"
            assert "text" not in ui or f"{name}/{attempt}" in ui, f"{name} at {attempt} shows {ui}"
        files = await self.db.read(lambda tx: tx.conn.exec_driver_sql(_ASSETS, (f"{self.seed}-%",)).all())
        for name, last, attempt, is_published, filename in files:
            assert is_published, f"{filename} of {name} is not published"
            assert attempt == last, f"{filename} of {name} is of attempt {attempt}, and the job ended at {last}"


def _fail(tx: Transaction) -> None:
    tx.conn.exec_driver_sql("ROLLBACK")
    raise Unavailable("the disk failed")


async def kill(dispatcher: Dispatcher) -> None:
    """End the dispatcher as if its process were killed: it receives nothing more, and starts no new write."""
    dispatcher.close()
    await dispatcher._tasks.cancel()
    finish_threads()


def finish_threads() -> None:
    """Wait until no thread moves files any more, as in a process that has ended."""
    loop = asyncio.get_running_loop()
    threads = loop._default_executor  # type: ignore[attr-defined]
    loop.set_default_executor(ThreadPoolExecutor())
    if threads is not None:
        threads.shutdown()


def run(folder: Path, seeds: range, ledger: Ledger, *, is_over: Callable[[], bool] = lambda: False) -> int:
    return asyncio.run(simulate(folder, seeds, ledger, is_over=is_over))
