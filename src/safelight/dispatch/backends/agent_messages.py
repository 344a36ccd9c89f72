"""The messages between a server and the agent of a slot. Part of the protocol (``wire/protocol.py``)."""

from pathlib import Path

from safelight.dispatch.files.transfer import Method
from safelight.dispatch.journal import Journal
from safelight.wire.config import EngineConfig
from safelight.wire.messages import Message, Ready, ToEngine, ToServer

Token = tuple[int, int]
"""Of an attachment: the owner's epoch, greater for later owners, and how often this owner has attached."""


class SlotSpec(Message, frozen=True, kw_only=True):
    """What an agent runs on its slot. Paths are the same on all machines."""

    config: EngineConfig
    slot_dirs: str = ""
    """The root of the engines' own directories; empty: they use those of the agent's process."""
    home: str = ""
    """A home that all engines share and that stays; empty: a new one for each engine, below ``slot_dirs``."""
    rss_limit_bytes: int = 0
    has_threads: bool = True
    """Whether ``OMP_NUM_THREADS`` of the agent's process is meant for engines."""
    command: tuple[str, ...] = ()
    """Empty: the engine command of the agent's machine."""
    scratch: str = ""
    """The root of folders on the machine's own disk for what engines read and write; files are copied between there
    and the store. Empty: the folders are shared by all machines."""
    scratch_bytes: int = 0
    """Largest size of the cache of input files in ``scratch``."""
    placement: str = ""
    """The cluster resources and the node that a process for the slot takes, as the owner writes them."""

    @property
    def scratch_of_slot(self) -> Path | None:
        """The parent of the folders of the slot's agents."""
        return Path(self.scratch, self.config.slot) if self.scratch else None


# -- agent -> server: entries of its outbox, numbered --


class Envelope(Message, frozen=True, kw_only=True):
    """A message of the engine."""

    number: int
    message: ToServer


class EngineLost(Message, frozen=True, kw_only=True):
    """``is_expected``: nothing is wrong with the engine. ``is_last``: no other engine follows here, because the slot
    needs a process with another placement."""

    number: int
    reason: str
    is_expected: bool = False
    is_last: bool = False


class PresignRequest(Message, frozen=True, kw_only=True):
    """A request for a presigned URL of the store, for one method and one blob."""

    number: int
    request_id: int
    method: Method
    digest: str


Entry = Envelope | EngineLost | PresignRequest


# -- server -> agent --


class Send(Message, frozen=True, kw_only=True):
    """A message for the engine of that generation."""

    generation: int
    message: ToEngine


class Kill(Message, frozen=True, kw_only=True):
    generation: int
    reason: str


class Drain(Message, frozen=True, kw_only=True):
    """End the engine and start no other."""

    reason: str


class Resume(Message, frozen=True, kw_only=True):
    """Start an engine on a drained slot."""


class PresignResponse(Message, frozen=True, kw_only=True):
    """The answer to :class:`PresignRequest`; an empty ``url`` if the server has none."""

    request_id: int
    url: str


Command = Send | Kill | Drain | Resume | PresignResponse


class Attached(Message, frozen=True, kw_only=True):
    """The state of a slot for its new owner: entries follow ``number``, the current engine is of ``generation``.

    ``journal``: of an attempt that outlived the server before; ``ready`` is then the first message of its engine.
    ``is_misplaced``: there is no engine here, because the slot needs a process with another placement.
    """

    number: int = 0
    generation: int = 0
    ready: Ready | None = None
    journal: Journal | None = None
    is_misplaced: bool = False
