"""One attempt of a job on a slot, as the dispatcher follows it, and its words for listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from safelight.core.event import Call, CallFinished, CallReported, CallsCached, CallStarted, OutputMade
from safelight.core.ids import JobId, UserId
from safelight.core.job import Fence, Job, JobError
from safelight.core.output import Output
from safelight.services.timeline import Cached
from safelight.wire import messages as wire


@dataclass(slots=True, eq=False)
class Run:
    """Mutable: what the engine has said of the attempt so far.

    ``outputs``: without files, said to listeners but not yet in a row; the finish keeps them.
    """

    job: Job
    fetching: asyncio.Task[None] | None = None  # its files are on their way here
    held: ExitStack = field(default_factory=ExitStack)  # its files, until it is over
    message: wire.RunJob | None = None
    staging: Path | None = None
    is_sent: bool = False
    is_resumed: bool = False  # another server sent it
    kept: int = 0  # so many outputs with files are rows already that the engine is yet to tell of
    mishap: str = ""  # why the attempt cannot go on, where neither the job nor its node is to blame
    is_sent_back: bool = False  # an administrator wants the worker at once, and the job waits again
    own_limit_s: float | None = None  # how long its owner's jobs may run, where that is said
    sent_s: float = 0.0  # when it began, by the monotonic clock
    heard_s: float = 0.0  # when its engine last said something of it
    verdict: JobError | None = None  # the limit that it has exceeded
    is_given_up: bool = False  # its engine said something that cannot be used, and is being killed
    cached: Cached | None = None
    calls: dict[str, Call] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    grace: asyncio.Task[None] | None = None
    watch: asyncio.Task[None] | None = None  # over its limits

    @property
    def fence(self) -> Fence:
        return Fence(self.job.id, self.job.summary.attempt)

    @property
    def owner_id(self) -> UserId:
        return self.job.summary.owner_id

    @property
    def job_id(self) -> JobId:
        return self.job.id

    def words(self, at: datetime) -> dict[str, Any]:
        """What every event of a job carries."""
        summary = self.job.summary
        return {"owner_id": summary.owner_id, "job_id": summary.id, "client_id": summary.client_id, "at": at}

    def interrupted(self) -> JobError:
        """The call that ran when the job was stopped."""
        return self.error("Cancelled", "the job was cancelled")

    def error(self, exception_type: str, message: str) -> JobError:
        """Blamed on the node that is running, if one is."""
        call = next(reversed(self.calls.values()), None)
        node = self.job.prompt.get(call.real_id) if call else None
        return JobError(
            exception_type,
            message,
            node_id=call.real_id if call else "",
            node_type=str(node.get("class_type", "")) if isinstance(node, Mapping) else "",
            executed=tuple(self.executed),
        )

    def note(self, message: wire.CallReport | wire.OutputReady, at: datetime) -> CallReported:
        """Follow a message that changes no row. Return the event for listeners."""
        event = message.made if isinstance(message, wire.OutputReady) else message.event
        match event:
            case CallsCached():
                self.cached = Cached(event.call_ids, at)
            case CallStarted():
                self.calls[event.call.id] = event.call
            case CallFinished():
                self.calls.pop(event.call.id, None)
                self.executed.append(event.call.real_id)
            case OutputMade():
                self.outputs.append((event.call, event.output))
        return CallReported(**self.words(at), event=event)


def run_job(
    job: Job, staging: Path | None, files: Mapping[str, wire.FileRef], *, secrets: Mapping[str, str]
) -> wire.RunJob:
    """The order to an engine."""
    pnginfo = job.extra_data.get("extra_pnginfo")
    preview_method = job.extra_data.get("preview_method")
    return wire.RunJob(
        job_id=job.id,
        attempt=job.summary.attempt,
        owner_id=job.summary.owner_id,
        prompt=dict(job.prompt),
        targets=[*job.targets],
        staging="" if staging is None else str(staging),
        files=dict(files),
        extra_pnginfo=pnginfo if isinstance(pnginfo, dict) else None,
        secrets=dict(secrets),
        preview_method=preview_method if isinstance(preview_method, str) else None,
    )
