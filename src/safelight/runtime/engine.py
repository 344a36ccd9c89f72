"""The engine: a reader thread that receives messages, and the main thread that runs one job after another.

The reader handles immediately what cannot wait for a node to return: a cancel, the answer to a node's request, a ping.
Inputs of prompts that the server has not accepted yet are validated in another thread.
"""

import gc
import queue
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import assert_never

from safelight.runtime import devices
from safelight.runtime.job_loop import JobLoop, WorkerState
from safelight.runtime.lease_watchdog import LeaseWatchdog
from safelight.runtime.model_examination import unusable
from safelight.runtime.outbox import Outbox
from safelight.runtime.pack_server import PackRoutes
from safelight.runtime.resident_models import free_unused, warm_models
from safelight.runtime.running_job import RunningJob
from safelight.wire.messages import (
    CancelJob,
    ExamineModels,
    FilesChecked,
    FreeMemory,
    InputsValidated,
    LogLines,
    ModelsExamined,
    NamesReserved,
    PackRequest,
    Ping,
    Pong,
    RunJob,
    Stop,
    ToEngine,
    ValidateInputs,
)


class Engine:
    """Mutable: the waiting jobs and the running one. Before :meth:`serve`, pings renew the lease but are not
    answered."""

    def __init__(self, outbox: Outbox, *, device: str, watchdog: LeaseWatchdog) -> None:
        self._outbox = outbox
        self._device = device
        self._watchdog = watchdog
        self._waiting: queue.SimpleQueue[RunningJob | FreeMemory | Stop] = queue.SimpleQueue()
        self._to_validate: queue.SimpleQueue[ValidateInputs | ExamineModels] = queue.SimpleQueue()
        self._jobs: dict[tuple[str, int], RunningJob] = {}
        self._lock = threading.Lock()
        self._running: RunningJob | None = None
        self._worker: WorkerState | None = None
        """Set while the engine serves."""
        self._pack_routes: PackRoutes | None = None
        self._lines: list[tuple[int, str]] = []
        self._early_requests: list[PackRequest] = []  # the server may use the routes just before `serve` begins

    def serve(
        self, worker: WorkerState, *, finish_lines: Callable[[], None], pack_routes: PackRoutes | None = None
    ) -> None:
        """Run jobs until :class:`Stop`, or until the device is lost. ``finish_lines`` flushes printed lines that have
        no newline yet."""
        with self._lock:
            self._pack_routes = pack_routes
            early, self._early_requests = self._early_requests, []
        for request in early:
            if pack_routes is not None:
                pack_routes.answer(request)
        self._worker = worker
        threading.Thread(target=self._validate, args=(worker,), name="validation", daemon=True).start()
        while True:
            message = self._waiting.get()
            if isinstance(message, Stop):
                return
            if isinstance(message, FreeMemory):
                free(worker, message)
                continue
            self._running = message
            loop = JobLoop(message, worker)
            done = loop.run()
            finish_lines()
            self._send_lines()
            self._running = None
            with self._lock:
                del self._jobs[message.fence]
            self._outbox.post(done, flush=True)
            if loop.is_device_lost:
                return

    def end_when_idle(self) -> None:
        """Let :meth:`serve` return after the jobs that are here. Called in any thread."""
        self._waiting.put(Stop())

    def read(self, messages: Iterable[ToEngine]) -> None:
        """Handle messages, in the reader thread, until the server closes the pipe."""
        for message in messages:
            self._watchdog.renew()
            self._receive(message)

    def printed(self, at_ms: int, line: str) -> None:
        """Forward a line that a node, or anything else in this process, has printed."""
        with self._lock:
            self._lines.append((at_ms, line))
        self._outbox.report("log", self._take_lines)

    def _receive(self, message: ToEngine) -> None:
        match message:
            case RunJob():
                job = RunningJob(message, self._outbox)
                with self._lock:
                    self._jobs[job.fence] = job
                self._waiting.put(job)
            case CancelJob():
                with self._lock:
                    cancelled = self._jobs.get((message.job_id, message.attempt))
                if cancelled is not None:
                    cancelled.cancel()
            case ValidateInputs() | ExamineModels():
                self._to_validate.put(message)
            case PackRequest():
                with self._lock:
                    routes = self._pack_routes
                    if routes is None:
                        self._early_requests.append(message)
                if routes is not None:
                    routes.answer(message)
            case NamesReserved() | FilesChecked():
                running = self._running
                if running is not None:
                    running.answer(message)
            case Ping():
                if self._worker is not None:
                    warm = warm_models(self._worker.context)
                    info = replace(devices.describe(self._device), warm_models=warm)
                    pong = Pong(sequence=message.sequence, info=info, rss=devices.resident_bytes())
                    self._outbox.post(pong, flush=True)
            case FreeMemory() | Stop():
                self._waiting.put(message)
            case _:
                assert_never(message)

    def _validate(self, worker: WorkerState) -> None:
        while True:
            request = self._to_validate.get()
            if isinstance(request, ExamineModels):
                self._examine(request)
                continue
            run = RunJob(
                job_id="",
                attempt=0,
                owner_id=request.owner_id,
                prompt=request.prompt,
                targets=request.targets,
                staging="",
                files=request.files,
            )
            try:
                found = list(JobLoop(RunningJob(run, self._outbox), worker).violations())
            except Exception:  # the same exception fails the job when it runs, and is reported then
                found = []
            violations = {violation.call_id: violation.reason for violation in found}
            self._outbox.post(InputsValidated(request_id=request.request_id, violations=violations), flush=True)

    def _examine(self, request: ExamineModels) -> None:
        try:
            found = dict(unusable(request.files))
        except Exception:  # a boundary: a file of another form than any reader expects; the run reports it
            found = {}
        self._outbox.post(ModelsExamined(request_id=request.request_id, unusable=found), flush=True)

    def _take_lines(self) -> list[LogLines]:
        with self._lock:
            lines, self._lines = self._lines, []
        running = self._running
        return [LogLines(lines=lines, job_id=running.message.job_id if running is not None else None)] if lines else []

    def _send_lines(self) -> None:
        for message in self._take_lines():
            self._outbox.post(message)


def free(worker: WorkerState, message: FreeMemory) -> None:
    """Drop cached results and objects, and evict networks that are not in use."""
    if not (message.free_memory or message.unload_models):
        return
    worker.cache.clear()
    worker.objects.clear()
    free_unused(worker.context)
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
