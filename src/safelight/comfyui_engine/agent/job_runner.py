"""Runs one job after another in ComfyUI's own queue: prepares it, hands it over, and reports its end."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import failure
from .cache_salt import CacheSalt, JobSalt
from .digest_client import DigestClient
from .events import JobEvents
from .job_folders import JobFolders
from .kept_results import KeptResults, ancestries
from .outbox import Outbox
from .outputs import Outputs, can_write
from .running_job import RunningJob
from .surfaces import Surfaces
from .validation import validate
from .warm_models import WarmModels

OUT_OF_MEMORY_STATUS = 75
DEVICE_LOST_STATUS = 76
"""Exit statuses by which the server knows that a fresh process may succeed (``wire/config.py``)."""
_PREVIEWS = {"feature_flags": {"supports_preview_metadata": True}}

Done = dict[str, Any]


class JobRunner:
    """Mutable: the jobs that wait and the one that runs."""

    def __init__(
        self,
        surfaces: Surfaces,
        *,
        outbox: Outbox,
        folders: JobFolders,
        digests: DigestClient,
        finish_lines: Callable[[], None],
        hidden_paths: failure.Paths,
    ) -> None:
        self._surfaces = surfaces
        self._outbox = outbox
        self._folders = folders
        self._digests = digests
        self._finish_lines = finish_lines
        self._hidden_paths = hidden_paths
        self._salt = CacheSalt(surfaces)
        self._kept = KeptResults()
        self.warm_models = WarmModels(surfaces)
        self._waiting: queue.SimpleQueue[RunningJob | None] = queue.SimpleQueue()
        self._jobs: dict[tuple[str, int], RunningJob] = {}
        self._numbers = itertools.count(1)
        self._ended = threading.Event()
        self._succeeded = False
        self._must_reset = False
        self.running: RunningJob | None = None
        self.events: JobEvents | None = None
        """Set while ComfyUI runs the prompt of :attr:`running`."""
        self._follow_executor()
        self._follow_queue()

    # -- the server's messages --

    def run(self, message: Mapping[str, Any]) -> None:
        job = RunningJob(message, self._outbox)
        self._jobs[job.fence] = job
        self._waiting.put(job)

    def cancel(self, fence: tuple[str, int]) -> None:
        if (job := self._jobs.get(fence)) is not None:
            job.cancel()

    def answer(self, message: Mapping[str, Any]) -> None:
        if (job := self.running) is not None:
            job.answer(message)

    def free(self, *, unload_models: bool, free_memory: bool) -> None:
        """ComfyUI's own thread does it, after the current job."""
        if unload_models or free_memory:
            self._kept.clear()
            self.warm_models.clear()
            self._surfaces.server.prompt_queue.set_flag("unload_models", True)
            self._surfaces.server.prompt_queue.set_flag("free_memory", True)

    def stop(self) -> None:
        """End the process after the jobs that are here."""
        self._waiting.put(None)

    def serve(self) -> None:
        """Run jobs until :meth:`stop`."""
        while (job := self._waiting.get()) is not None:
            self.running = job
            try:
                done = self._run(job)
            except Exception as error:  # the last resort: a fault here must not fail the jobs after this one
                traceback.print_exc()
                done = _failed(type(error).__name__, f"{error}\n")
            self._finish_lines()
            self.running = None
            del self._jobs[job.fence]
            kind = "AttemptLost" if "reason" in done else "JobDone"
            self._outbox.post(job.message(kind, **done))
            if kind == "AttemptLost":
                return
            self._folders.clear()

    # -- one job --

    def _run(self, job: RunningJob) -> Done:
        started = time.monotonic()
        try:
            done = {"outcome": "cancelled"} if job.is_cancelled else self._prepare_and_execute(job)
        finally:
            self.events = None
            self._forget(job)
        return done | ({} if "reason" in done else {"device_s": time.monotonic() - started})

    def _prepare_and_execute(self, job: RunningJob) -> Done:
        try:
            self._folders.fill({text: Path(file["path"]) for text, file in job.files.items()})
        except OSError as refused:
            return {"reason": f"the files of the job cannot be put in place: {refused}"}
        extra_data = self._on_prompt(job, _extra_data(job))
        found = self._on_loop(validate(self._surfaces, job.id, job.prompt, job.targets))
        if set(found.outputs) != set(job.targets):
            error = failure.validation_error(found.node_errors, found.error, job.targets)
            return {"outcome": "failed", "error": {"current_outputs": [*job.prompt]} | error}
        return self._execute(job, extra_data)

    def _execute(self, job: RunningJob, extra_data: dict[str, Any]) -> Done:
        ancestry = ancestries(job.prompt, job.digests)
        generations = self._kept.check(job.owner_id, ancestry, job.find_gone)
        self._must_reset = self._salt.begin(JobSalt(job.owner_id, job.digests, generations))
        self._surfaces.choose_preview(job.preview_method)
        outputs = Outputs(job, self._folders, self._digests)
        self.events = events = JobEvents(job, self._surfaces, outputs, self._kept, ancestry)
        server = self._surfaces.server
        if hasattr(server, "sockets_metadata"):
            server.sockets_metadata[job.id] = _PREVIEWS  # pictures come with the ids of their nodes
        if not self._surfaces.secrets_are_apart:
            extra_data.update(job.secrets)
        item = (next(self._numbers), job.id, job.prompt, extra_data, list(job.targets), dict(job.secrets))
        self._ended.clear()
        job.on_cancel = lambda: self._stop_prompt(job)
        server.prompt_queue.put(item)
        if job.is_cancelled:
            self._stop_prompt(job)
        self._ended.wait()
        events.finish()
        self.warm_models.used(events.models)
        return self._outcome(job, events, outputs)

    def _outcome(self, job: RunningJob, events: JobEvents, outputs: Outputs) -> Done:
        if outputs.failure is not None:
            return {"reason": f"a file of the job cannot be stored: {outputs.failure.strerror or outputs.failure}"}
        done: Done = {"executed": [*events.executed]}
        if events.error is not None:
            error = failure.job_error(events.error, events.executed, self._hidden_paths)
            self._end_process_if_useless(job, error)
            if failure.is_out_of_space(error["exception_message"]) or not can_write(job.staging):
                return {"reason": "no space for the job's files"}
            return done | {"outcome": "failed", "error": error}
        if events.is_interrupted or (job.is_cancelled and not self._succeeded):
            return done | {"outcome": "cancelled"}
        if not self._succeeded:
            return done | _failed("ExecutionFailed", "ComfyUI ended the prompt without saying why\n")
        return done | {"outcome": "completed"}

    def _end_process_if_useless(self, job: RunningJob, error: Mapping[str, Any]) -> None:
        kind, message = error["exception_type"], error["exception_message"]
        status = OUT_OF_MEMORY_STATUS if failure.is_out_of_memory(kind) else 0
        status = DEVICE_LOST_STATUS if failure.is_device_lost(kind, message) else status
        if status and job.has_retry:
            self._finish_lines()
            os._exit(status)
        if status == DEVICE_LOST_STATUS:
            self.stop()

    def _on_prompt(self, job: RunningJob, extra_data: dict[str, Any]) -> dict[str, Any]:
        """Let the packs change the prompt that ask for it, as ComfyUI does where it receives one."""
        change = getattr(self._surfaces.server, "trigger_on_prompt", None)
        if change is None or not getattr(self._surfaces.server, "on_prompt_handlers", ()):
            return extra_data
        given = {"prompt": job.prompt, "client_id": job.id, "extra_data": extra_data}
        changed = change(given)
        job.prompt = changed["prompt"]
        found: dict[str, Any] = changed.get("extra_data", extra_data)
        return found

    def _on_loop(self, work: Any) -> Any:
        """The result of a coroutine that runs where ComfyUI runs it."""
        return asyncio.run_coroutine_threadsafe(work, self._surfaces.server.loop).result()

    def _forget(self, job: RunningJob) -> None:
        """Remove what ComfyUI keeps of a prompt: the next user's nodes can read its history."""
        server = self._surfaces.server
        job.on_cancel = lambda: None
        with suppress(Exception):
            server.prompt_queue.delete_history_item(job.id)
        getattr(server, "sockets_metadata", {}).pop(job.id, None)

    # -- ComfyUI's thread --

    def _stop_prompt(self, job: RunningJob) -> None:
        """Interrupt the prompt if it runs; remove it if it still waits. No other prompt is ever in the queue."""
        if self._surfaces.server.prompt_queue.delete_queue_item(lambda item: item[1] == job.id):
            self._succeeded = False
            self._ended.set()
        else:
            self._surfaces.interrupt(True)

    def _follow_queue(self) -> None:
        prompts = self._surfaces.server.prompt_queue
        task_done = prompts.task_done

        def followed(item_id: Any, *arguments: Any, **options: Any) -> Any:
            result = task_done(item_id, *arguments, **options)
            status = options.get("status", arguments[1] if len(arguments) > 1 else None)
            self._succeeded = getattr(status, "status_str", "error") == "success"
            self._ended.set()
            return result

        prompts.task_done = followed

    def _follow_executor(self) -> None:
        """Empty the caches when they cannot be salted, and survive what a node raises that ComfyUI does not expect."""
        executor_class = self._surfaces.execution.PromptExecutor
        execute = executor_class.execute

        def followed(executor: Any, *arguments: Any, **options: Any) -> None:
            if self._must_reset:
                executor.reset()
            try:
                execute(executor, *arguments, **options)
            except BaseException as error:  # ``SystemExit`` of a node would end ComfyUI's only thread for prompts
                logging.error("a prompt ended with %s", type(error).__name__, exc_info=error)
                executor.success = False
                executor.history_result = {"outputs": {}, "meta": {}}
                if self.events is not None:
                    self.events.received("execution_error", _as_event(error, self.events))

        executor_class.execute = followed


def _extra_data(job: RunningJob) -> dict[str, Any]:
    """What ComfyUI's nodes and its history find beside a prompt."""
    found: dict[str, Any] = {"client_id": job.id, "create_time": int(time.time() * 1000)}
    if job.extra_pnginfo is not None:
        found["extra_pnginfo"] = job.extra_pnginfo
    if job.preview_method is not None:
        found["preview_method"] = job.preview_method
    return found


def _as_event(error: BaseException, events: JobEvents) -> dict[str, Any]:
    call = events.active_call or {}
    return {
        "exception_type": type(error).__name__,
        "exception_message": str(error),
        "node_id": call.get("real_id", ""),
        "traceback": traceback.format_tb(error.__traceback__),
    }


def _failed(exception_type: str, message: str) -> Done:
    return {"outcome": "failed", "error": {"exception_type": exception_type, "exception_message": message}}
