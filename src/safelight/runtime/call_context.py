"""The implementation of :class:`~safelight.sdk.context.Context`: what a running call can request from this process."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from safelight.blobs.hashing import hash_file
from safelight.core.asset import clean_subfolder
from safelight.core.errors import InvalidName
from safelight.core.event import CallProgressed, MessageSent, NodeCall, PreviewMade, TextShown
from safelight.core.ids import JobId, shown_job_id
from safelight.core.model_folders import places_of, with_slashes
from safelight.media.sniff import HEAD_BYTES, mime_type_of
from safelight.runtime import preview_encoding
from safelight.runtime.filename_sequence import FilenameSequence
from safelight.runtime.running_job import RunningJob
from safelight.sdk.context import OutputFile
from safelight.sdk.plain import plain
from safelight.wire.messages import CallReport, SavedFile
from safelight.worker.context import WorkerContext

FOLDERS = ("output", "temp")


class CallContext:
    """The context of one call. Mutable: records the files that the call has begun."""

    def __init__(self, job: RunningJob, call: NodeCall, worker: WorkerContext) -> None:
        self._job = job
        self._call = call
        self._worker = worker
        self._begun: list[OutputFile] = []

    @property
    def call_id(self) -> str:
        return self._call.id

    @property
    def job_id(self) -> str:
        return shown_job_id(JobId(self._job.message.job_id))

    def open_series(
        self, prefix: str, *, folder: str = "output", count: int = 1, width: int = 0, height: int = 0
    ) -> "ReservedFiles":
        if folder not in FOLDERS:
            raise ValueError(f"invalid folder {folder!r}; files are saved in {' or '.join(FOLDERS)}")
        names = FilenameSequence(
            prefix,
            count=count,
            width=width,
            height=height,
            now=datetime.now(),
            reserve=lambda sub, name: self._job.reserve(folder=folder, subfolder=sub, prefix=name, count=max(count, 1)),
        )
        return ReservedFiles(self._job, names, folder, self._begun)

    def adopt(self, path: Path, *, folder: str, subfolder: str, filename: str) -> OutputFile:
        extension = path.suffix if path.suffix[1:].isalnum() else ""
        file = OutputFile(self._job.new_path(extension), folder=folder, subfolder=subfolder, filename=filename)
        shutil.copyfile(path, file.path)
        self._begun.append(file)
        return file

    def input_path(self, name: str) -> Path:
        file = self._job.message.files.get(name)
        if file is None:
            raise FileNotFoundError(f"there is no file {name!r}")
        return Path(file.path)

    def model_path(self, folder: str, name: str) -> Path:
        try:
            relative = clean_subfolder(with_slashes(name))
        except InvalidName:
            relative = ""
        if relative:
            for place in places_of(folder, self._worker.model_roots, self._worker.extra_models):
                path = place / relative
                if path.exists():
                    return path
        raise FileNotFoundError(f"there is no model {name!r} in {folder}")

    @property
    def preview_method(self) -> str | None:
        return self._job.message.preview_method

    def progress(self, value: float, total: float, *, preview: Any = None) -> None:
        self.raise_if_cancelled()
        image = preview if self.preview_method not in (None, "none") else None

        def report() -> list[CallReport]:
            step = CallReport.of(self._job.fence, CallProgressed(self._call, value, total))
            if image is None:
                return [step]
            shown = PreviewMade(self._call, preview_encoding.encode(image), preview_encoding.MIME_TYPE)
            return [CallReport.of(self._job.fence, shown), step]

        self._job.outbox.report(self._call.id, report)

    def show_text(self, text: str) -> None:
        shown = CallReport.of(self._job.fence, TextShown(self._call, text))
        self._job.outbox.report(f"{self._call.id} text", lambda: [shown])

    def send(self, name: str, data: Any) -> None:
        sent = CallReport.of(self._job.fence, MessageSent(self._call, name, plain(data)))
        self._job.outbox.post(sent, flush=True)

    def send_image(self, image: bytes, mime_type: str) -> None:
        sent = CallReport.of(self._job.fence, PreviewMade(self._call, image, mime_type))
        self._job.outbox.post(sent, flush=True)

    def raise_if_cancelled(self) -> None:
        self._job.raise_if_cancelled()

    def settle(self) -> None:
        """Send the last progress of the call, which is over."""
        self._job.outbox.settle(self._call.id)
        self._job.outbox.settle(f"{self._call.id} text")

    def finished_files(self) -> list[SavedFile]:
        """Return the files that the call saved, with digests. Raises :class:`FileNotFoundError` for one that was not
        written."""
        return [_finished(file) for file in self._begun]


class ReservedFiles:
    """The implementation of :class:`~safelight.sdk.context.OutputSeries`."""

    def __init__(self, job: RunningJob, names: FilenameSequence, folder: str, begun: list[OutputFile]) -> None:
        self._job = job
        self._names = names
        self._folder = folder
        self._begun = begun
        self.subfolder, self.prefix, self.first = names.subfolder, names.prefix, names.first

    def file(self, index: int, extension: str) -> OutputFile:
        filename = self._names.filename(index, extension)
        path = self._job.new_path(extension)
        file = OutputFile(path, folder=self._folder, subfolder=self._names.subfolder, filename=filename)
        self._begun.append(file)
        return file


def _finished(file: OutputFile) -> SavedFile:
    try:
        with file.path.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
    except FileNotFoundError:
        raise FileNotFoundError(f"the node reserved the file {file.filename!r} but did not write it") from None
    return SavedFile(
        folder=file.folder,
        subfolder=file.subfolder,
        filename=file.filename,
        path=str(file.path),
        size=file.path.stat().st_size,
        digest=hash_file(file.path),
        mime_type=mime_type_of(file.filename, head),
    )
