"""What an engine process is told when it starts: the first frame of the pipe."""

from safelight.sandbox.rules import Rules
from safelight.wire.messages import Message


class EngineConfig(Message, frozen=True, kw_only=True):
    """Folders are absolute paths, sizes bytes, durations seconds."""

    slot: str = ""
    """The slot's name; the processes that follow one another on it have it in common, and no others."""
    device: str = ""
    """``cpu``, ``cuda:0`` ...; empty: what torch offers."""
    node_packages: tuple[str, ...] = ("safelight.nodes",)
    """Importable packages whose modules hold nodes."""
    custom_nodes: tuple[str, ...] = ()
    """Folders of node packs."""
    pack_copies: str = ""
    """A folder of the slot's own, into which packs are copied when an engine starts, and from which they are imported;
    empty: they are imported from where they are."""
    writable_packs: tuple[str, ...] = ()
    """Packs that are not copied, by the name of their folder or file."""
    model_roots: tuple[str, ...] = ()
    extra_models: tuple[tuple[str, str, bool], ...] = ()
    """Folders of models that lie elsewhere: the model folder, the path, and whether it counts before the roots."""
    cache_bytes: int = 0
    """What may be kept of finished calls; 0: a quarter of the machine's memory."""
    model_copies: str = ""
    """The folder of this machine's own disk for copies of models; empty: they are read where they are."""
    model_copies_bytes: int = 0
    """The most that copies may take."""
    lease_s: float = 30.0
    """An engine that hears nothing for so long ends itself."""
    rules: Rules | None = None
    """What it gives up before it imports a node; ``None``: nothing."""


OUT_OF_MEMORY_STATUS = 75
"""With this exit status an engine says that its device's memory is spent, and that a fresh one should try."""
DEVICE_LOST_STATUS = 76
"""With this one, that its device answers every call with an error from now on, which a fresh process mends."""
