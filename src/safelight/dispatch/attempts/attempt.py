"""One attempt at a job, as the dispatcher follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from safelight.core.event import CallFinished, CallReported, CallsCached, CallStarted, NodeCall, OutputMade
from safelight.core.ids import JobId, UserId
from safelight.core.job import Fence, Job, JobError
from safelight.core.output import Output
from safelight.core.retry import has_retry
from safelight.services.timeline import Cached
from safelight.wire import messages as wire


@dataclass(slots=True, eq=False)
class Attempt:
    """Mutable: what the engine has reported so far.

    ``outputs``: those without files, which listeners know and no row has yet; the finish stores them.
    """

    job: Job
    preparing: asyncio.Task[None] | None = None  # while its folder is made and its files are fetched
    inputs: ExitStack = field(default_factory=ExitStack)  # its input files, until it is over
    message: wire.RunJob | None = None
    staging: Path | None = None
    is_sent: bool = False
    is_reattached: bool = False  # another server sent it
    recorded: int = 0  # outputs with files that are rows already, and that the engine is yet to report
    infra_failure: str = ""  # why it cannot continue, where neither the job nor its node is to blame
    must_requeue: bool = False  # an administrator needs the worker now, and the job waits again
    own_limit_s: float | None = None  # the run limit of its owner, if they have one
    claimed_s: float = 0.0  # when this server claimed or reattached to it, by the monotonic clock
    sent_s: float = 0.0  # when it began, by the monotonic clock
    last_seen_s: float = 0.0  # when its engine last sent a message about it
    limit_error: JobError | None = None  # the limit that it has exceeded
    is_abandoned: bool = False  # a message of its engine cannot be used, and the engine is being killed
    cached: Cached | None = None
    calls: dict[str, NodeCall] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    begun: dict[str, datetime] = field(default_factory=dict)  # of the running calls
    seconds: dict[str, float] = field(default_factory=dict)  # that each finished call took
    outputs: list[Output] = field(default_factory=list)
    cancelling: asyncio.Task[None] | None = None  # kills the engine after the grace period
    limit_watch: asyncio.Task[None] | None = None

    @property
    def fence(self) -> Fence:
        return Fence(self.job.id, self.job.summary.attempt)

    @property
    def owner_id(self) -> UserId:
        return self.job.summary.owner_id

    @property
    def job_id(self) -> JobId:
        return self.job.id

    def common_fields(self, at: datetime) -> dict[str, Any]:
        """The fields that every event of a job has."""
        summary = self.job.summary
        return {"owner_id": summary.owner_id, "job_id": summary.id, "client_id": summary.client_id, "at": at}

    def interrupted(self) -> JobError:
        """The error of a job that was cancelled while it ran."""
        return self.error("Cancelled", "the job was cancelled")

    def error(self, exception_type: str, message: str) -> JobError:
        """An error that names the running node, if there is one."""
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
                self.begun[event.call.id] = at
            case CallFinished():
                self.calls.pop(event.call.id, None)
                if (begun := self.begun.pop(event.call.id, None)) is not None:
                    self.seconds[event.call.id] = (at - begun).total_seconds()
                self.executed.append(event.call.real_id)
            case OutputMade():
                self.outputs.append((event.call, event.output))
        return CallReported(**self.common_fields(at), event=event)


def run_job(
    job: Job, staging: Path | None, files: Mapping[str, wire.FileRef], *, secrets: Mapping[str, str]
) -> wire.RunJob:
    """The message that tells an engine to run the job."""
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
        has_retry=has_retry(job.summary),
    )
