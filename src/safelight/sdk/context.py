"""The context of a running call: its input files, its outputs, its progress. ``current()`` returns it.

Outside a call, for example in a test, there is none and ``current()`` raises. Implemented by
``runtime/call_context.py``.
"""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol


class Cancelled(BaseException):
    """Raised inside a node when its job is cancelled. Not an ``Exception``, so that nodes do not catch it by
    accident."""


class OutputFile:
    """A file that a node is writing; ``path`` is private to the job until its outputs are published."""

    def __init__(self, path: Path, *, folder: str, subfolder: str, filename: str) -> None:
        self.path = path
        self.folder = folder
        self.subfolder = subfolder
        self.filename = filename

    def as_dict(self) -> dict[str, str]:
        """ComfyUI's reference to a file: ``{"filename", "subfolder", "type"}``."""
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.folder}


class OutputSeries(Protocol):
    """Numbered files with one prefix: ``<prefix>_00001_.png``, ``<prefix>_00002_.png`` ...; ``first`` is the first
    number that was reserved."""

    subfolder: str
    prefix: str
    first: int

    def file(self, index: int, extension: str) -> OutputFile:
        """Return the ``index``-th file of the series (from 0), to be written at its ``path``; ``extension`` with its
        dot.

        Every such file is reported when the node returns; it is an error if one was not written."""
        ...


class Context(Protocol):
    """What a node can use while it runs."""

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
        """Copy a file that was written elsewhere into the job's outputs, under the given name; ``path`` stays."""
        ...

    def input_path(self, name: str) -> Path:
        """Return the path of the owner's file with that (annotated) name, read-only. Raises
        :class:`FileNotFoundError`."""
        ...

    def model_path(self, folder: str, name: str) -> Path:
        """Return the path of a model file by its folder (``checkpoints``, ``loras`` ...) and name. Raises
        :class:`FileNotFoundError`."""
        ...

    @property
    def preview_method(self) -> str | None:
        """The previews that the client requested: ``none``, ``auto``, ``latent2rgb`` or ``taesd``; ``None``: no
        previews."""
        ...

    def progress(self, value: float, total: float, *, preview: Any = None) -> None:
        """Report a step; ``preview`` is a PIL image. Raises :class:`Cancelled` if the job was cancelled."""
        ...

    def show_text(self, text: str) -> None:
        """Show a text on the node while it runs."""
        ...

    def send(self, name: str, data: Any) -> None:
        """Send a custom message to the job's client; ``data`` is plain data."""
        ...

    def send_image(self, image: bytes, mime_type: str) -> None:
        """Send an encoded picture to the job's client, as a preview that is never dropped."""
        ...

    def raise_if_cancelled(self) -> None: ...


_current: ContextVar[Context] = ContextVar("safelight_context")


def current() -> Context:
    """Return the context of the running call. Raises :class:`RuntimeError` outside a call."""
    try:
        return _current.get()
    except LookupError:
        raise RuntimeError("no call is running here; a node has a context only while it runs") from None


def enter(context: Context) -> Any:
    """Make ``context`` current in this task or thread; return the token for :func:`leave`."""
    return _current.set(context)


def leave(token: Any) -> None:
    _current.reset(token)
