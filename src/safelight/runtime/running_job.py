"""The attempt that this engine works on: its cancel flag, its files, and its requests to the server."""

import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from safelight.runtime.outbox import Outbox
from safelight.sdk.context import Cancelled
from safelight.wire.correlator import Correlator
from safelight.wire.messages import CheckFiles, FilesChecked, KeptFile, NamesReserved, ReserveNames, RunJob

Answer = NamesReserved | FilesChecked


class RunningJob:
    """Mutable, and used by three threads: the main one runs calls, another runs async calls, the reader cancels and
    answers.

    The reader calls ``on_cancel`` once.
    """

    def __init__(self, message: RunJob, outbox: Outbox) -> None:
        self.message = message
        self.outbox = outbox
        self.on_cancel: Callable[[], None] = lambda: None
        self.has_files = False  # a call has begun to write one
        self._cancelled = threading.Event()
        self._numbers = itertools.count(1)
        self._requests: Correlator[Answer] = Correlator()
        self._lock = threading.Lock()

    @property
    def fence(self) -> tuple[str, int]:
        return self.message.job_id, self.message.attempt

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        with self._lock:
            if self._cancelled.is_set():
                return
            self._cancelled.set()
        self._requests.fail(Cancelled)
        self.on_cancel()

    def raise_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def reserve(self, *, folder: str, subfolder: str, prefix: str, count: int) -> int:
        """Reserve ``count`` numbers and return the first. Waits for the server; raises :class:`Cancelled` on a
        cancel."""
        answer = self._request(
            lambda **fence: ReserveNames(**fence, folder=folder, subfolder=subfolder, prefix=prefix, count=count)
        )
        assert isinstance(answer, NamesReserved)
        return answer.first

    def check(self, files: Sequence[KeptFile]) -> Sequence[int]:
        """Return the positions of the ``files`` that the owner no longer has. Waits as :meth:`reserve` does."""
        answer = self._request(lambda **fence: CheckFiles(**fence, files=[*files]))
        assert isinstance(answer, FilesChecked)
        return answer.gone

    def answer(self, message: Answer) -> None:
        """Deliver the server's answer; one that nothing waits for belongs to a job that is over."""
        self._requests.answer(message.request_id, message)

    def _request(self, make: Callable[..., ReserveNames | CheckFiles]) -> Answer:
        job_id, attempt = self.fence
        with self._requests.request() as request:
            self.raise_if_cancelled()  # after the request is registered: from now on a cancel fails it
            self.outbox.post(make(job_id=job_id, attempt=attempt, request_id=request.id), flush=True)
            return request.answer.result()

    def new_path(self, extension: str) -> Path:
        """Return a new path in the job's staging folder. No part of it is text from a user."""
        self.has_files = True
        folder = Path(self.message.staging)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{next(self._numbers):06}{extension}"
