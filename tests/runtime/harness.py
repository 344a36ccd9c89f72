"""Runs jobs in the test's own process: the engine's main thread without its pipe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.dispatch.engines import PACKS
from tests.events import opened

from safelight.graph.cache import LimitedCache
from safelight.runtime import packs
from safelight.runtime.background import BackgroundLoop
from safelight.runtime.bound_call import V1Objects
from safelight.runtime.job_loop import JobLoop, WorkerState
from safelight.runtime.outbox import Outbox
from safelight.runtime.running_job import RunningJob
from safelight.sdk import Node
from safelight.wire.codec import Decoder
from safelight.wire.messages import CheckFiles, FilesChecked, NamesReserved, OutputReady, ReserveNames, RunJob, ToServer
from safelight.worker.context import WorkerContext, set_worker_context

OnMessage = Callable[[Any, RunningJob], None]


class ProcessEndedError(Exception):
    """Raised where the process would end."""


def _end_process(status: int) -> None:
    raise ProcessEndedError


@dataclass
class Harness:
    staging: Path
    model_roots: Sequence[Path] = ()
    messages: list[Any] = field(default_factory=list)
    reserved: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """Names of files that the owner has deleted."""

    def __post_init__(self) -> None:
        context = WorkerContext(model_roots=self.model_roots, custom_nodes=[PACKS])
        set_worker_context(context)
        self.library = packs.load((), context)
        self.worker = WorkerState(
            library=self.library,
            cache=LimitedCache(max_bytes=10**8),
            objects=V1Objects(),
            background=BackgroundLoop(),
            context=context,
            end_process=_end_process,
        )

    def add(self, *nodes: type[Node]) -> None:
        for node in nodes:
            self.library.add(node, node.node_schema(), source="test")

    def run(
        self,
        prompt: Mapping[str, Any],
        *targets: str,
        on_message: OnMessage = lambda message, job: None,
        **options: Any,
    ) -> Any:
        """Run a job to its end; the messages that it sent are in ``messages``. ``on_message`` is called with each
        message when it is written."""
        self.messages = []
        decoder: Decoder[ToServer] = Decoder(ToServer)

        def write(frames: bytearray) -> None:
            for message in decoder.feed(bytes(frames)):
                self.messages.append(opened(message))
                if isinstance(message, ReserveNames):
                    job.answer(NamesReserved(request_id=message.request_id, first=self._reserve(message)))
                if isinstance(message, CheckFiles):
                    gone = [n for n, file in enumerate(message.files) if file.filename in self.gone]
                    job.answer(FilesChecked(request_id=message.request_id, gone=gone))
                on_message(opened(message), job)

        run = RunJob(
            job_id="j",
            attempt=options.pop("attempt", 1),
            owner_id=options.pop("owner", "ada"),
            prompt=dict(prompt),
            targets=list(targets),
            staging=str(self.staging),
            **options,
        )
        outbox = Outbox(write)
        job = RunningJob(run, outbox)
        done = JobLoop(job, self.worker).run()
        outbox.flush()
        return done

    def of_kind(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]

    def story(self) -> list[str]:
        """Return the messages about calls in short form: ``CallStarted 1``."""
        calls = [(m, m.made.call if isinstance(m, OutputReady) else getattr(m, "call", None)) for m in self.messages]
        return [f"{type(m).__name__} {call.id}" for m, call in calls if call is not None]

    def _reserve(self, message: ReserveNames) -> int:
        key = f"{message.folder}/{message.subfolder}/{message.prefix}"
        first = self.reserved.get(key, 1)
        self.reserved[key] = first + message.count
        return first
