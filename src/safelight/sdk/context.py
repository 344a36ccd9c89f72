"""What a node may ask of the process that runs it: its files, its outputs, progress. ``current()`` gives it.

A node outside a run (in a test, say) gets none: ``current()`` raises. ``runtime/call_context.py`` is the real one.
"""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol


class Cancelled(BaseException):
    """Raised inside a node when its job is cancelled. Not an ``Exception``, so that no node swallows it unawares."""


class OutputFile:
    """A file that a node is writing; ``path`` is private to the job until the job's outputs are published."""

    def __init__(self, path: Path, *, folder: str, subfolder: str, filename: str) -> None:
        self.path = path
        self.folder = folder
        self.subfolder = subfolder
        self.filename = filename

    def as_dict(self) -> dict[str, str]:
        """ComfyUI's reference to a file: ``{"filename", "subfolder", "type"}``."""
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.folder}


class OutputSeries(Protocol):
    """Numbered files of one prefix: ``<prefix>_00001_.png``, ``<prefix>_00002_.png`` ...; ``first`` is the first number
    that was reserved."""

    subfolder: str
    prefix: str
    first: int

    def file(self, index: int, extension: str) -> OutputFile:
        """The ``index``-th file of the series (from 0); ``extension`` with its dot. Write it at ``.path``.

        Every file made so is reported when the node returns; one that was not written is an error."""
        ...


class Context(Protocol):
    """The worded surface of a run."""

    @property
    def call_id(self) -> str: ...

    @property
    def job_id(self) -> str: ...

    def open_series(
        self, prefix: str, *, folder: str = "output", count: int = 1, width: int = 0, height: int = 0
    ) -> OutputSeries:
        """Reserve ``count`` numbers for a prefix such as ``shots/day_%date:yyyy-MM-dd%_%width%``.

        ``folder`` is ``output`` or ``temp``. Raises :class:`ValueError` for a prefix that would leave the folder."""
        ...

    def adopt(self, path: Path, *, folder: str, subfolder: str, filename: str) -> OutputFile:
        """Make a file that was written elsewhere, under a name of its own, one of the job's; ``path`` stays."""
        ...

    def input_path(self, name: str) -> Path:
        """The owner's file of that (annotated) name, to be read only. Raises :class:`FileNotFoundError`."""
        ...

    def model_path(self, folder: str, name: str) -> Path:
        """A model file by its folder (``checkpoints``, ``loras`` ...) and name. Raises :class:`FileNotFoundError`."""
        ...

    @property
    def preview_method(self) -> str | None:
        """What the client wants to see of steps: ``none``, ``auto``, ``latent2rgb`` or ``taesd``; none: nothing."""
        ...

    def progress(self, value: float, total: float, *, preview: Any = None) -> None:
        """Report a step; ``preview`` is a PIL image. Raises :class:`Cancelled` when the job is to end."""
        ...

    def show_text(self, text: str) -> None:
        """Show a text on the node while it runs."""
        ...

    def send(self, name: str, data: Any) -> None:
        """A message of a pack's own to the job's client; ``data`` is plain data."""
        ...

    def send_image(self, image: bytes, mime_type: str) -> None:
        """An encoded picture to the job's client, as a preview that is not thinned out."""
        ...

    def raise_if_cancelled(self) -> None: ...


_current: ContextVar[Context] = ContextVar("safelight_context")


def current() -> Context:
    """The context of the call that is running. Raises :class:`RuntimeError` outside a run."""
    try:
        return _current.get()
    except LookupError:
        raise RuntimeError("no call is running here: a node's context exists only while it runs") from None


def enter(context: Context) -> Any:
    """Make ``context`` current in this task or thread; returns the token for :func:`leave`."""
    return _current.set(context)


def leave(token: Any) -> None:
    _current.reset(token)
