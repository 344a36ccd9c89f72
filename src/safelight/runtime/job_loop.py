"""Runs one job: carries out the instructions of its :class:`~safelight.graph.execution.Execution`, and answers them.

Plain functions run here, on the main thread, one at a time. Coroutines run on the background loop and report through a
queue; the reader's cancel comes through the same queue, so that nothing here polls.
"""

import asyncio
import concurrent.futures
import contextvars
import math
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight.core.event import CallEvent, NodeCall, OutputMade
from safelight.core.ids import UserId
from safelight.core.job import JobError, JobState
from safelight.graph import instructions as do
from safelight.graph.cache import Cache
from safelight.graph.execution import Execution
from safelight.graph.instructions import Event, Instruction
from safelight.runtime import failure, staging_check
from safelight.runtime.background import BackgroundLoop
from safelight.runtime.bound_call import BoundCall, V1Objects, Work
from safelight.runtime.call_context import CallContext
from safelight.runtime.dynprompt import DynPrompt
from safelight.runtime.input_validation import InputValidation, Violation
from safelight.runtime.packs import Library
from safelight.runtime.running_job import RunningJob
from safelight.runtime.sizes import size_of
from safelight.sdk.context import Cancelled
from safelight.sdk.v1 import V1Node
from safelight.shims import saving
from safelight.wire.config import DEVICE_LOST_STATUS, OUT_OF_MEMORY_STATUS
from safelight.wire.messages import AttemptLost, CallReport, JobDone, KeptFile, OutputReady, SavedFile
from safelight.worker.context import WorkerContext


@dataclass(frozen=True)
class WorkerState:
    """What this process keeps between jobs."""

    library: Library
    cache: Cache
    objects: V1Objects
    background: BackgroundLoop
    context: WorkerContext
    end_process: Callable[[int], object]
    """End this process with a status of ``wire/config.py``; the job is retried in a new process."""


@dataclass
class _Begun:
    """A call or a lazy check that has begun. ``work``: its future, for a coroutine."""

    instruction: do.RunCall | do.CheckLazy
    bound: BoundCall
    started: float
    work: "concurrent.futures.Future[Any] | None" = None
    is_aborted: bool = False


class JobLoop:
    """Mutable: one run of one job. ``is_device_lost``: this process must not run another."""

    is_device_lost = False

    def __init__(self, job: RunningJob, worker: WorkerState) -> None:
        self._job = job
        self._worker = worker
        run = job.message
        self._execution = Execution(
            run.prompt,
            worker.library.catalogue,
            targets=run.targets,
            cache=worker.cache,
            owner=UserId(run.owner_id),
            file_digest=lambda name: run.files[name].digest if name in run.files else None,
        )
        self._todo: deque[Instruction] = deque()
        self._answers: queue.SimpleQueue[_Begun | None] = queue.SimpleQueue()
        self._out: dict[str, _Begun] = {}
        self._files: dict[str, list[SavedFile]] = {}
        self._finish: do.Finish | None = None
        self._storage_failure: str | None = None
        self._is_cancel_fed = False
        self._started = time.monotonic()

    def run(self) -> JobDone | AttemptLost:
        """Run the job to its end and return the message that reports it. Never raises for what a node does."""
        self._job.on_cancel = lambda: self._answers.put(None)
        saving.begin_job(
            self._worker.context, {name: Path(file.path) for name, file in self._job.message.files.items()}
        )
        try:
            finish = self._first_violation() or self._drive()
        except (Exception, Cancelled) as error:
            # The last resort: a bug here must not fail the jobs after this one.
            outcome = JobState.CANCELLED if isinstance(error, Cancelled) else JobState.FAILED
            finish = do.Finish(outcome, self._error_of(error))
        finally:
            saving.end_job(self._worker.context)
        job_id, attempt = self._job.fence
        if self._storage_failure is not None:
            return AttemptLost(job_id=job_id, attempt=attempt, reason=self._storage_failure)
        return JobDone(
            job_id=job_id,
            attempt=attempt,
            outcome=finish.outcome,
            error=finish.error,
            executed=list(finish.executed),
            device_s=time.monotonic() - self._started,
        )

    def violations(self) -> Iterator[Violation]:
        """Yield the nodes' rejections of their inputs; none if a node is missing, which the execution reports."""
        run, worker = self._job.message, self._worker
        schemas = [worker.library.catalogue.get(node["class_type"]) for node in run.prompt.values()]
        if all(schemas) and any(schema.has_validator for schema in schemas if schema is not None):
            validation = InputValidation(
                self._execution.graph,
                worker.library,
                self._job,
                worker.context,
                worker.background,
            )
            yield from validation.violations(run.targets)

    def _first_violation(self) -> do.Finish | None:
        """Return a failure if a node rejects its inputs: the server accepts a prompt unchecked if no engine is free in
        time."""
        for violation in self.violations():
            error = JobError(
                "CustomValidationFailed",
                f"{violation}\n",
                node_id=violation.call_id,
                node_type=violation.node_type,
                current_outputs=tuple(self._execution.graph.prompt),
            )
            return do.Finish(JobState.FAILED, error)
        return None

    def _drive(self) -> do.Finish:
        if not self._job.is_cancelled:
            self._feed(do.Start())
        while self._finish is None:
            if self._job.is_cancelled and not self._is_cancel_fed:
                self._is_cancel_fed = True
                self._feed(do.CancelRequested())
            try:
                answered = self._answers.get(block=not self._todo)
            except queue.Empty:
                self._do(self._todo.popleft())
            else:
                if answered is not None:
                    self._feed(self._answer_of(answered))
        return self._finish

    def _feed(self, event: Event) -> None:
        for instruction in self._execution.feed(event):
            if isinstance(instruction, do.AbortCall):
                self._abort(instruction.call)
            else:
                self._todo.append(instruction)

    def _abort(self, call: NodeCall) -> None:
        begun = self._out.get(call.id)
        if begun is not None:
            begun.is_aborted = True
            if begun.work is not None:
                begun.work.cancel()
            return
        for waiting in self._todo:
            if isinstance(waiting, do.RunCall | do.CheckLazy) and waiting.call.id == call.id:
                self._todo.remove(waiting)
                self._feed(do.CallAborted(call.id))
                return

    def _do(self, instruction: Instruction) -> None:
        if isinstance(instruction, do.RunCall | do.CheckLazy):
            self._job.outbox.flush()
            self._begin(instruction)
        elif isinstance(instruction, do.Fingerprint):
            self._feed(do.FingerprintComputed(instruction.call.id, self._fingerprint(instruction)))
        elif isinstance(instruction, do.CheckFiles):
            self._check_files(instruction)
        elif isinstance(instruction, do.Finish):
            self._finish = instruction
        elif isinstance(instruction, do.Report):
            self._report(instruction.event)

    def _report(self, event: CallEvent) -> None:
        job_id, attempt = self._job.fence
        if isinstance(event, OutputMade):
            files = self._files.pop(event.call.id, [])
            self._job.outbox.post(OutputReady(job_id=job_id, attempt=attempt, made=event, files=files))
        else:
            self._job.outbox.post(CallReport.of(self._job.fence, event))

    def _check_files(self, instruction: do.CheckFiles) -> None:
        asked = [KeptFile(file.folder, file.subfolder, file.filename, file.digest) for file in instruction.files]
        try:
            gone = self._job.check(asked)
        except Cancelled:
            return  # the execution is told of the cancel next, and needs no answer
        self._feed(do.FilesChecked(instruction.number, [instruction.files[position] for position in gone]))

    def _begin(self, instruction: do.RunCall | do.CheckLazy) -> None:
        started = time.monotonic()
        try:
            bound = self._bind(instruction.call, instruction.node)
        except Exception as error:  # a node's constructor may raise
            self._feed(self._raised(instruction, error))
            return
        begun = self._out[instruction.call.id] = _Begun(instruction, bound, started)
        try:
            if isinstance(instruction, do.RunCall):
                given: list[Any] | Work = bound.run(instruction.sets)
            else:
                given = bound.check_lazy(instruction.sets, instruction.missing)
        except (Exception, Cancelled, SystemExit) as error:
            self._feed(self._failed(begun, error))
            return
        if isinstance(given, list):
            self._feed(self._done(begun, given))
            return
        begun.work = self._worker.background.submit(given, contextvars.copy_context())
        begun.work.add_done_callback(lambda _: self._answers.put(begun))
        self._feed(do.CallPending(instruction.call.id))

    def _answer_of(self, begun: _Begun) -> Event:
        assert begun.work is not None
        try:
            return self._done(begun, begun.work.result())
        except (Exception, Cancelled, SystemExit, asyncio.CancelledError) as error:
            return self._failed(begun, error)

    def _done(self, begun: _Begun, given: list[Any]) -> Event:
        call_id = begun.instruction.call.id
        begun.bound.context.settle()
        if isinstance(begun.instruction, do.CheckLazy):
            self._out.pop(call_id, None)
            names = {str(name) for wanted in given for name in wanted}
            return do.LazyChecked(call_id, [n for n in begun.instruction.missing if n in names])
        try:
            given = saving.collect(self._worker.context, begun.bound.context, given, is_alone=len(self._out) == 1)
            files = begun.bound.context.finished_files()
        except OSError as error:
            return self._failed(begun, error)
        self._out.pop(call_id, None)
        if files:
            self._files[call_id] = files
        seconds = time.monotonic() - begun.started
        size = size_of([_values_of(r) for r in given])
        kept = [do.KeptFile(file.folder, file.subfolder, file.filename, file.digest) for file in files]
        return do.CallReturned(call_id, given, size=size, seconds=seconds, files=kept)

    def _failed(self, begun: _Begun, error: BaseException) -> Event:
        call_id = begun.instruction.call.id
        begun.bound.context.settle()
        self._out.pop(call_id, None)
        ended = isinstance(error, asyncio.CancelledError | concurrent.futures.CancelledError)
        if isinstance(error, Cancelled) or (ended and begun.is_aborted):
            return do.CallAborted(call_id)
        staging, has_files = Path(self._job.message.staging), self._job.has_files
        self._storage_failure = self._storage_failure or staging_check.storage_failure(
            error, staging=staging, has_files=has_files
        )
        return self._raised(begun.instruction, error)

    def _raised(self, instruction: do.RunCall | do.CheckLazy, error: BaseException) -> do.CallRaised:
        shown = self._error_of(error)
        has_retry = self._job.message.has_retry
        if has_retry and shown.exception_type == "torch.OutOfMemoryError":
            self._worker.end_process(OUT_OF_MEMORY_STATUS)
        if failure.is_device_lost(shown.exception_type, shown.exception_message):
            self.is_device_lost = True
            if has_retry:
                self._worker.end_process(DEVICE_LOST_STATUS)
        inputs = failure.inputs_of([s.arguments for s in instruction.sets])
        return do.CallRaised(
            instruction.call.id, shown.exception_type, shown.exception_message, shown.traceback, inputs
        )

    def _error_of(self, error: BaseException) -> JobError:
        run = self._job.message
        shown = {run.staging: "staging"} | {file.path: name for name, file in run.files.items()}
        shown |= {str(root): "models" for root in self._worker.context.model_roots}
        return JobError(
            failure.type_name(error),
            failure.message_of(error, shown_paths=shown),
            traceback=failure.traceback_of(error),
        )

    def _fingerprint(self, instruction: do.Fingerprint) -> Any:
        """Return NaN, which equals nothing, if the node raises."""
        try:
            values = self._bind(instruction.call, instruction.node).fingerprint(instruction.sets)
            if not isinstance(values, list):
                values = self._worker.background.submit(values, contextvars.copy_context()).result()
        except (Exception, Cancelled, SystemExit):
            return math.nan
        return values[0] if len(values) == 1 else values

    def _bind(self, call: NodeCall, node_name: str) -> BoundCall:
        library = self._worker.library
        node, schema = library.nodes[node_name], library.catalogue[node_name]
        hidden = {i.id: self._hidden(i.type, call) for i in schema.inputs if i.is_filled_in}
        v1_object = None
        if issubclass(node, V1Node):
            v1_object = self._worker.objects.get(self._job.message.owner_id, call.id, node.source)
        context = CallContext(self._job, call, self._worker.context)
        return BoundCall(node, schema, call, context, hidden, v1_object)

    def _hidden(self, kind: str, call: NodeCall) -> Any:
        run = self._job.message
        match kind:
            case "UNIQUE_ID":
                return call.id
            case "PROMPT":
                return run.prompt
            case "EXTRA_PNGINFO":
                return run.extra_pnginfo
            case "DYNPROMPT":
                return DynPrompt(self._execution.graph)
            case "AUTH_TOKEN_COMFY_ORG" | "API_KEY_COMFY_ORG":
                return run.secrets.get(kind.lower())
            case _:
                raise ValueError(f"the engine has no value for a hidden input of type {kind!r}")


def _values_of(result: Any) -> Sequence[Any]:
    return result.values if isinstance(result, do.Returned) else ()
