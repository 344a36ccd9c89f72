"""A listener that records what it receives, and a bench to run jobs on a real engine with the test pack."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.events import opened

from safelight.core.event import CallEvent
from safelight.core.worker import SlotId
from safelight.dispatch.backend import Backend
from safelight.dispatch.backends.local import LocalBackend
from safelight.dispatch.journal import Journal
from safelight.wire.config import EngineConfig
from safelight.wire.messages import (
    CancelJob,
    CheckFiles,
    FileRef,
    FilesChecked,
    JobDone,
    LogLines,
    NamesReserved,
    Pong,
    Ready,
    ReserveNames,
    RunJob,
    ToServer,
)

SLOT = SlotId("a")
PACKS = Path(__file__).parent / "packs"
TIMEOUT_S = 120.0
"""Far longer than anything here takes, so that no test fails on a loaded machine."""

M = TypeVar("M")


@dataclass(frozen=True)
class EngineLost:
    reason: str


@dataclass(frozen=True)
class Reattached:
    ready: Ready
    journal: Journal


Received = ToServer | CallEvent | Reattached | EngineLost


class Listener:
    """Records what all slots send, in order; of a report, its event."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[SlotId, Received]] = asyncio.Queue()

    def engine_ready(self, slot: SlotId, ready: Ready) -> None:
        self.received.put_nowait((slot, ready))

    def engine_reattached(self, slot: SlotId, ready: Ready, journal: Journal) -> None:
        self.received.put_nowait((slot, Reattached(ready, journal)))

    def engine_message(self, slot: SlotId, message: ToServer) -> None:
        self.received.put_nowait((slot, opened(message)))

    def engine_lost(self, slot: SlotId, reason: str) -> None:
        self.received.put_nowait((slot, EngineLost(reason)))

    async def next(self) -> Received:
        """The next message that is not a heartbeat."""
        while True:
            _, message = await asyncio.wait_for(self.received.get(), TIMEOUT_S)
            if not isinstance(message, Pong):
                return message

    async def until(self, kind: type[M]) -> tuple[list[Received], M]:
        """The messages before the first one of ``kind``, and that one."""
        before: list[Received] = []
        while not isinstance(message := await self.next(), kind):
            before.append(message)
        return before, message


def engine_config(**changes: Any) -> EngineConfig:
    options: dict[str, Any] = {"node_packages": (), "custom_nodes": (str(PACKS),), "cache_bytes": 10**8}
    return EngineConfig(**options | changes)


@dataclass
class Bench:
    """One slot with a real engine."""

    backend: Backend
    listener: Listener
    staging: Path
    jobs: int = 0
    reserved: dict[str, int] = field(default_factory=dict)

    async def ready(self) -> Ready:
        _, ready = await self.listener.until(Ready)
        return ready

    def send(self, prompt: Mapping[str, Any], *targets: str, **options: Any) -> RunJob:
        self.jobs += 1
        job = RunJob(
            job_id=f"job-{self.jobs}",
            attempt=options.pop("attempt", 1),
            owner_id=options.pop("owner", "ada"),
            prompt=dict(prompt),
            targets=list(targets),
            staging=str(self.staging / f"job-{self.jobs}"),
            **options,
        )
        self.backend.send(SLOT, job)
        return job

    def cancel(self, job: RunJob) -> None:
        self.backend.send(SLOT, CancelJob(job_id=job.job_id, attempt=job.attempt))

    async def end(self) -> tuple[list[Received], JobDone]:
        """The messages of a job, and its end. Requests for names are answered as a server does."""
        messages: list[Received] = []
        while not isinstance(message := await self.listener.next(), JobDone):
            messages.append(message)
            if isinstance(message, ReserveNames):
                key = f"{message.folder}/{message.subfolder}/{message.prefix}"
                first = self.reserved.get(key, 1)
                self.reserved[key] = first + message.count
                self.backend.send(SLOT, NamesReserved(request_id=message.request_id, first=first))
            if isinstance(message, CheckFiles):  # all are there
                self.backend.send(SLOT, FilesChecked(request_id=message.request_id, gone=[]))
            if isinstance(message, EngineLost):
                raise AssertionError(f"the engine was lost: {message.reason}; before that: {messages}")
        return messages, message

    async def run(self, prompt: Mapping[str, Any], *targets: str, **options: Any) -> tuple[list[Any], JobDone]:
        self.send(prompt, *targets, **options)
        messages, done = await self.end()
        return messages, done

    async def line(self, start: str) -> str:
        """Wait for a printed line."""
        while True:
            _, message = await self.listener.until(LogLines)
            for _, line in message.lines:
                if line.startswith(start):
                    return line


def bench(staging: Path, *, rss_limit_bytes: int = 0, command: Sequence[str] | None = None, **config: Any) -> Bench:
    options: dict[str, Any] = {} if command is None else {"command": lambda config: command}
    backend = LocalBackend(
        {SLOT: engine_config(**config)}, environment=os.environ, rss_limit_bytes=rss_limit_bytes, **options
    )
    return Bench(backend, Listener(), staging)


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def deed(what: str) -> dict[str, Any]:
    return {"1": node("Deed", what=what)}


def file_ref(path: Path) -> FileRef:
    return FileRef("0" * 64, path.stat().st_size, "text/plain", str(path))
