"""A run for nodes in tests: the surface of :mod:`safelight.sdk.context` over plain folders, without jobs and servers.

``with FolderContext(tmp_path).running() as run: ...`` makes it current. Files to load are in ``run.input``, saved ones
in ``run.saved``, reported steps and texts in ``run.steps`` and ``run.texts``.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safelight.core.asset import parse_file_name
from safelight.sdk import Cancelled, Node, OutputFile
from safelight.sdk.context import enter, leave
from safelight.sdk.node import Hidden


class FolderContext:
    """Mutable: it collects what a node does. ``cancel_after`` steps of progress, the job is cancelled."""

    def __init__(self, root: Path, *, call_id: str = "1", cancel_after: int | None = None) -> None:
        self.root = root
        self.input = root / "input"
        self.input.mkdir(parents=True, exist_ok=True)
        self.saved: list[OutputFile] = []
        self.steps: list[tuple[float, float]] = []
        self.previews: list[Any] = []
        self.texts: list[str] = []
        self.sent: list[tuple[str, Any]] = []
        self.images: list[tuple[bytes, str]] = []
        self.wanted_preview: str | None = "auto"
        self._call_id = call_id
        self._cancel_after = cancel_after

    @contextmanager
    def running(self) -> Iterator["FolderContext"]:
        token = enter(self)
        try:
            yield self
        finally:
            leave(token)

    @property
    def call_id(self) -> str:
        return self._call_id

    @property
    def job_id(self) -> str:
        return "job"

    def open_series(
        self, prefix: str, *, folder: str = "output", count: int = 1, width: int = 0, height: int = 0
    ) -> "FolderSeries":
        prefix = prefix.replace("%width%", str(width)).replace("%height%", str(height))
        subfolder, _, name = prefix.rpartition("/")
        place = (self.root / folder / subfolder).resolve()
        if not place.is_relative_to((self.root / folder).resolve()):
            raise ValueError(f"{prefix!r} leaves the {folder} folder")
        place.mkdir(parents=True, exist_ok=True)
        taken = [
            int(found[1]) for p in place.iterdir() if (found := re.match(re.escape(name) + r"_(\d{5,})_\.", p.name))
        ]
        return FolderSeries(self, place, folder, subfolder, name, first=max(taken, default=0) + 1, count=count)

    def input_path(self, name: str) -> Path:
        file = parse_file_name(name)
        path = self.root / file.folder / file.subfolder / file.filename
        if not path.is_file():
            raise FileNotFoundError(f"{name!r} is not a file")
        return path

    def model_path(self, folder: str, name: str) -> Path:
        path = self.root / "models" / folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{name!r} is not in {folder}")
        return path

    @property
    def preview_method(self) -> str | None:
        return self.wanted_preview

    def progress(self, value: float, total: float, *, preview: Any = None) -> None:
        self.steps.append((value, total))
        if preview is not None:
            self.previews.append(preview)
        self.raise_if_cancelled()

    def show_text(self, text: str) -> None:
        self.texts.append(text)

    def send(self, name: str, data: Any) -> None:
        self.sent.append((name, data))

    def send_image(self, image: bytes, mime_type: str) -> None:
        self.images.append((image, mime_type))

    def adopt(self, path: Path, *, folder: str, subfolder: str, filename: str) -> OutputFile:
        file = OutputFile(path, folder=folder, subfolder=subfolder, filename=filename)
        self.saved.append(file)
        return file

    def raise_if_cancelled(self) -> None:
        if self._cancel_after is not None and len(self.steps) >= self._cancel_after:
            raise Cancelled


class FolderSeries:
    def __init__(
        self, run: FolderContext, place: Path, folder: str, subfolder: str, name: str, *, first: int, count: int
    ) -> None:
        self._run = run
        self._place = place
        self._folder = folder
        self.subfolder = subfolder
        self.prefix = name
        self.first = first
        self._count = count

    def file(self, index: int, extension: str) -> OutputFile:
        if not 0 <= index < self._count:
            raise IndexError(f"file {index} of a series of {self._count}")
        name = self.prefix.replace("%batch_num%", str(index))
        filename = f"{name}_{self.first + index:05}_{extension}"
        file = OutputFile(self._place / filename, folder=self._folder, subfolder=self.subfolder, filename=filename)
        self._run.saved.append(file)
        return file


def with_hidden(node: type[Node], **hidden: Any) -> type[Node]:
    """Call the node as a worker does, with the hidden inputs of its schema."""
    return type(node.__name__, (node,), {"hidden": Hidden(**hidden)})
