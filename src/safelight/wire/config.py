"""The configuration of an engine process: the first frame on its pipe."""

from safelight.core.engine_kind import OWN
from safelight.sandbox.rules import Rules
from safelight.wire.messages import Message


class EngineConfig(Message, frozen=True, kw_only=True):
    """Folders are absolute paths, sizes bytes, durations seconds."""

    slot: str = ""
    """The name of the slot, shared by the processes that follow one another on it, and by no others."""
    kind: str = OWN
    """The engine kind (``core/engine_kind.py``), which the server chose the engine's command by."""
    root: str = ""
    """The folder of the ComfyUI that the engine runs; empty for Safelight's own engine, as ``python`` is."""
    python: str = ""
    """The interpreter that runs that ComfyUI, as its operator wrote it; empty: the one that is found in ``root``
    (``comfyui/installation.py``)."""
    arguments: tuple[str, ...] = ()
    """Arguments of that ComfyUI, besides those for its folders, its port and the device."""
    device: str = ""
    """``cpu``, ``cuda:0`` ...; empty: the device that torch chooses."""
    node_packages: tuple[str, ...] = ("safelight.nodes",)
    """Importable packages whose modules define nodes."""
    custom_nodes: tuple[str, ...] = ()
    """Folders of node packs."""
    pack_libraries: str = ""
    """A folder of libraries that packs need, searched after those of the environment; empty: none."""
    pack_copies: str = ""
    """The slot's own folder, to which packs are copied when an engine starts, and from which they are imported; empty:
    they are imported from where they are."""
    writable_packs: tuple[str, ...] = ()
    """Packs that are not copied, by the name of their folder or file."""
    model_roots: tuple[str, ...] = ()
    extra_models: tuple[tuple[str, str, bool], ...] = ()
    """Folders of models outside the roots: the model folder, the path, and whether it is searched before the roots."""
    cache_bytes: int = 0
    """Largest size of the cache of finished calls; 0: a quarter of the machine's memory."""
    model_copies: str = ""
    """A folder on this machine's own disk for copies of models; empty: they are read from where they are."""
    model_copies_bytes: int = 0
    """Largest size of these copies."""
    lease_s: float = 30.0
    """An engine that receives nothing for this long ends itself."""
    rules: Rules | None = None
    """The rights that it gives up before it imports a node; ``None``: none."""


OUT_OF_MEMORY_STATUS = 75
"""Exit status of an engine whose device is out of memory: a fresh engine should retry."""
OUT_OF_MEMORY = "the worker's device ran out of memory"
"""The reason that is reported for such an end."""
DEVICE_LOST_STATUS = 76
"""Exit status of an engine whose device fails at every call from now on: a fresh process repairs that."""
