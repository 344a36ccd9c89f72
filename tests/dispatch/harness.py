"""A dispatcher with a real database, a backend without engines, and a clock that the test moves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from tests.database import at, opened
from tests.events import output, report

from safelight.blobs.cache import FileCache
from safelight.blobs.hashing import hash_bytes
from safelight.blobs.local import LocalBlobStore
from safelight.blobs.store import BlobStore, Presigning
from safelight.bus.memory import MemoryBus
from safelight.core.digest import Digest
from safelight.core.engine_kind import EngineKind
from safelight.core.event import (
    CallFinished,
    CallReported,
    CallsCached,
    CallStarted,
    Event,
    JobEnded,
    JobEvent,
    NodeCall,
)
from safelight.core.ids import JobId
from safelight.core.job import Job, JobState
from safelight.core.user import Principal
from safelight.core.worker import EngineInfo, SlotId
from safelight.db.engine import Database
from safelight.dispatch.backends.fake import Crash, FakeBackend
from safelight.dispatch.dispatcher import Dispatcher
from safelight.dispatch.files.copied import CopiedFiles
from safelight.dispatch.files.shared import SharedFiles
from safelight.dispatch.files.transport import FileTransport
from safelight.services import job as jobs
from safelight.services.job import SubmitJob
from safelight.wire import messages as wire

PROMPT = {"1": {"class_type": "Load", "inputs": {"image": "cat.png"}}, "2": {"class_type": "Save", "inputs": {}}}
READY = wire.Ready(info=EngineInfo("3.11", "2.13", (), 7), nodes=[])
GRACE_S = 5.0

E = TypeVar("E", bound=JobEvent)


class ManualClock:
    """A clock that only moves when a test moves it; sleepers wake when their time has come."""

    def __init__(self) -> None:
        self._s = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._slept = asyncio.Event()

    def now(self) -> datetime:
        return at(self._s)

    def monotonic_s(self) -> float:
        return self._s

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._s + seconds, future))
        self._slept.set()
        await future

    def pass_s(self, seconds: float) -> None:
        self._s += seconds
        for until, future in self._sleepers:
            if until <= self._s and not future.done():
                future.set_result(None)

    async def until_asleep(self, number: int) -> None:
        """Wait until ``number`` tasks sleep."""
        async with asyncio.timeout(120):
            while sum(not future.done() for _, future in self._sleepers) < number:
                self._slept.clear()
                await self._slept.wait()


def call(node: str) -> NodeCall:
    return NodeCall(node, node, None, node)


def of(order: wire.RunJob) -> dict[str, Any]:
    return {"job_id": order.job_id, "attempt": order.attempt}


def done(order: wire.RunJob, outcome: JobState = JobState.COMPLETED, **words: Any) -> wire.JobDone:
    return wire.JobDone(**of(order), outcome=outcome, executed=["1", "2"], **words)


def at_once(message: wire.ToEngine) -> Iterable[wire.ToServer | Crash]:
    """A script of an engine that completes every job immediately."""
    if isinstance(message, wire.RunJob):
        yield report(CallsCached(call_ids=[]), **of(message))
        yield report(CallStarted(call=call("2")), **of(message))
        yield output(**of(message), call=call("2"), ui={"text": [message.job_id]})
        yield report(CallFinished(call=call("2")), **of(message))
        yield done(message)


def silent(message: wire.ToEngine) -> Iterable[wire.ToServer | Crash]:
    return ()


class Harness:
    def __init__(
        self,
        db: Database,
        bus: MemoryBus,
        backend: FakeBackend,
        clock: ManualClock,
        folder: Path,
        blobs: BlobStore,
        **scheduling: Any,
    ) -> None:
        self._scheduling = scheduling
        self.db = db
        self.backend = backend
        self.clock = clock
        self.staging = folder / "staging"
        self.blobs = blobs
        self.files = FileCache(blobs, folder / "cache", max_bytes=0)
        self.transport: FileTransport = SharedFiles(
            files=self.files, blobs=blobs, staging=self.staging, slots=backend.slots, clock=clock, sleep=clock.sleep
        )
        self.ready: list[Digest] = []
        self.events: list[Event] = []
        if backend.copies_files:  # the store is one that can presign
            self.transport = CopiedFiles(cast(Presigning, blobs), clock=clock, sleep=clock.sleep)
        self._bus = bus
        self._changed = asyncio.Event()
        bus.subscribe(self._hear)
        self.dispatcher = self.new_dispatcher()

    def new_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            db=self.db,
            bus=self._bus,
            backend=self.backend,
            transport=self.transport,
            clock=self.clock,
            cancel_grace_s=GRACE_S,
            on_ready=lambda engine, ready, digest: self.ready.append(digest),
            sleep=self.clock.sleep,
            **self._scheduling,
        )

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def submit(self, who: Principal, job_id: str, **words: Any) -> JobId:
        words = {"prompt": PROMPT, "extra_data": {}, **words}
        command = SubmitJob(targets=["2"], job_id=JobId(job_id), **words)
        return (await self.db.write(lambda tx: jobs.submit(tx, who, command=command, now=self.clock.now()))).id

    async def cancel(self, who: Principal, job_id: JobId) -> bool:
        return await self.db.write(lambda tx: jobs.cancel(tx, who, job_id=job_id, now=self.clock.now()))

    async def job(self, who: Principal, job_id: JobId) -> Job:
        return await self.db.read(lambda tx: jobs.get(tx, who, job_id=job_id))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Run the event loop and the database's threads until ``condition`` holds."""
        async with asyncio.timeout(120):
            while not condition():
                await self.settle()

    async def settle(self) -> None:
        """Wait until all writes enqueued so far are committed."""
        await self.db.write(lambda tx: None)
        await asyncio.sleep(0)

    async def end(self, job_id: str) -> JobEnded:
        def ends() -> list[JobEnded]:
            return [event for event in self.events if isinstance(event, JobEnded) and event.job_id == job_id]

        await self.until(lambda: bool(ends()))
        await self.settle()
        assert len(ends()) == 1
        return ends()[0]

    async def order(self, job_id: str, *, attempt: int = 1) -> wire.RunJob:
        """The ``RunJob`` that an engine received for the job."""
        await self.until(lambda: any((o.job_id, o.attempt) == (job_id, attempt) for o in self.orders))
        return next(o for o in self.orders if (o.job_id, o.attempt) == (job_id, attempt))

    @property
    def orders(self) -> list[wire.RunJob]:
        return [message for _, message in self.backend.sent if isinstance(message, wire.RunJob)]

    def slot_of(self, order: wire.RunJob) -> SlotId:
        return next(slot for slot, message in self.backend.sent if message is order)

    def say(self, order: wire.RunJob, message: wire.ToServer) -> None:
        self.backend.say(self.slot_of(order), message)

    def sent(self, kind: type[Any]) -> Sequence[Any]:
        return [message for _, message in self.backend.sent if isinstance(message, kind)]

    def of_job(self, job_id: str) -> list[str]:
        """The events of a job, by name."""
        events = [e for e in self.events if isinstance(e, JobEvent) and e.job_id == job_id]
        return [type(e.event if isinstance(e, CallReported) else e).__name__ for e in events]


@asynccontextmanager
async def make_harness(
    folder: Path,
    *,
    script: Any = silent,
    slots: int = 1,
    ready: wire.Ready = READY,
    blobs: BlobStore | None = None,
    engines: Mapping[str, Any] | None = None,
    kinds: Mapping[SlotId, EngineKind] | None = None,
    **scheduling: Any,
) -> AsyncIterator[Harness]:
    """A harness whose dispatcher is not started yet. ``engines``: options of the backend. ``kinds``: the engine kinds
    of slots that have not the own one. ``scheduling``: options of the dispatcher."""
    bus = MemoryBus()
    async with opened(folder, on_commit=bus.publish) as db:
        names = [SlotId(f"s{n}") for n in range(slots)]
        backend = FakeBackend(names, ready=ready, script=script, **(engines or {}))
        blobs = blobs or LocalBlobStore(folder / "blobs")
        yield Harness(db, bus, backend, ManualClock(), folder, blobs, engines=kinds, **scheduling)


@asynccontextmanager
async def running(folder: Path, **words: Any) -> AsyncIterator[Harness]:
    async with make_harness(folder, **words) as env:
        await env.dispatcher.start()
        try:
            yield env
        finally:
            await env.dispatcher.stop()


def saved(order: wire.RunJob, name: str, data: bytes, **words: Any) -> wire.SavedFile:
    """Write a file as an engine does, and report it."""
    path = Path(order.staging) / f"{len(name)}-{name}"
    path.write_bytes(data)
    fields = {
        "folder": "output",
        "subfolder": "",
        "filename": name,
        "path": str(path),
        "size": len(data),
        "digest": hash_bytes(data),
        "mime_type": "image/png",
    }
    return wire.SavedFile(**{**fields, **words})


def picture(order: wire.RunJob, name: str, data: bytes = b"picture", **words: Any) -> wire.OutputReady:
    ui = {"images": [{"filename": name, "subfolder": "", "type": "output"}]}
    return output(**of(order), call=call("2"), ui=ui, files=[saved(order, name, data, **words)])
