"""The attempt that this process works on: its fence, its cancel flag, and its requests to the server."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .kept_results import KeptFile
from .outbox import Outbox


class RunningJob:
    """Mutable. Used by the thread that runs nodes, by the reader, which cancels and answers, and by the one that begins
    and ends jobs. ``on_cancel`` is called once."""

    def __init__(self, message: Mapping[str, Any], outbox: Outbox) -> None:
        self.id: str = message["job_id"]
        self.attempt: int = message["attempt"]
        self.owner_id: str = message["owner_id"]
        self.prompt: dict[str, Any] = message["prompt"]
        self.targets: list[str] = message["targets"]
        self.staging = Path(message["staging"])
        self.files: Mapping[str, Mapping[str, Any]] = message.get("files", {})
        self.extra_pnginfo: Mapping[str, Any] | None = message.get("extra_pnginfo")
        self.secrets: Mapping[str, str] = message.get("secrets", {})
        self.preview_method: str | None = message.get("preview_method")
        self.has_retry: bool = message.get("has_retry", True)
        self.outbox = outbox
        self.is_cancelled = False
        self.on_cancel: Callable[[], None] = lambda: None
        self._numbers = itertools.count(1)
        self._requests = itertools.count(1)
        self._answers: dict[int, Mapping[str, Any] | None] = {}
        self._changed = threading.Condition()

    @property
    def fence(self) -> tuple[str, int]:
        return self.id, self.attempt

    @property
    def digests(self) -> dict[str, str]:
        """The digests of the owner's files, by the texts of the prompt that name them."""
        return {text: file["digest"] for text, file in self.files.items()}

    def message(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        return {"type": kind, "job_id": self.id, "attempt": self.attempt, **fields}

    def report(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """The message that tells of an event of a call."""
        return self.message("CallReport", kind=kind, fields=fields)

    def cancel(self) -> None:
        with self._changed:
            if self.is_cancelled:
                return
            self.is_cancelled = True
            self._changed.notify_all()
        self.on_cancel()

    def reserve(self, folder: str, subfolder: str, prefix: str, count: int) -> int | None:
        """Reserve numbers, and return the first. Waits for the server; ``None`` if the job is cancelled."""
        series = {"folder": folder, "subfolder": subfolder, "prefix": prefix, "count": count}
        answer = self._request("ReserveNames", **series)
        return answer["first"] if answer is not None else None

    def find_gone(self, files: Sequence[KeptFile]) -> Sequence[int]:
        """The positions of the files that the owner no longer has. Waits as :meth:`reserve` does."""
        asked = [{**vars(name), "digest": digest} for name, digest in files]
        answer = self._request("CheckFiles", files=asked)
        return answer["gone"] if answer is not None else ()

    def answer(self, message: Mapping[str, Any]) -> None:
        """Deliver the server's answer; one that nothing waits for belongs to a job that is over."""
        with self._changed:
            if message["request_id"] in self._answers:
                self._answers[message["request_id"]] = message
                self._changed.notify_all()

    def new_path(self, extension: str) -> Path:
        """A new path in the job's staging folder. No part of it is a text of a user."""
        self.staging.mkdir(parents=True, exist_ok=True)
        return self.staging / f"{next(self._numbers):06}{extension}"

    def _request(self, kind: str, **fields: Any) -> Mapping[str, Any] | None:
        number = next(self._requests)
        with self._changed:
            self._answers[number] = None
        self.outbox.post(self.message(kind, request_id=number, **fields))
        with self._changed:
            self._changed.wait_for(lambda: self._answers[number] is not None or self.is_cancelled)
            return self._answers.pop(number)
