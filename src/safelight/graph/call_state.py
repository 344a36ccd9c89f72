"""The state of one call during an execution: its phase, what it waits for, and its results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from safelight.core.event import NodeCall
from safelight.core.node import NodeSchema
from safelight.graph.cache import InnerOutput
from safelight.graph.calls import CallInputs
from safelight.graph.instructions import ArgumentSet, Blocked, KeptFile, Returned
from safelight.graph.lists import Outputs
from safelight.graph.signature import Signature


class Phase(Enum):
    """``IDLE -> WAITING -> READY -> CHECKING -> RUNNING -> EXPANDED -> DONE``.

    A lazy check that requests inputs leads back to WAITING; a call without a check or an expansion skips those phases;
    a call whose result is cached goes from IDLE or READY to DONE.
    """

    IDLE = auto()  # not needed yet
    WAITING = auto()  # for inputs
    READY = auto()  # every input that it needs is available
    CHECKING = auto()  # the node reports which lazy inputs it needs
    RUNNING = auto()  # the node runs
    EXPANDED = auto()  # waits for the calls that replace it
    DONE = auto()


@dataclass(slots=True, eq=False)
class CallState:
    """Mutable. ``signature`` is ``None`` if the call's result must not be cached (``graph/signature.py``)."""

    call: NodeCall
    schema: NodeSchema
    inputs: CallInputs
    phase: Phase = Phase.IDLE
    position: int = 0
    """When it was first needed: the earliest ready call runs first."""
    signature: Signature | None = None
    fingerprint: Any = None
    needs: set[str] = field(default_factory=set)
    """Calls that must be done before this one can continue."""
    requested: set[str] = field(default_factory=set)
    """Lazy inputs that the node has requested."""
    waiters: list[str] = field(default_factory=list)
    """Calls that have this one among their ``needs``."""
    is_claimed: bool = False
    references: int = 0
    """Number of claimed calls that may still use the outputs; at 0 they are released."""
    outputs: Outputs | None = None
    sets: Sequence[ArgumentSet] = ()
    count: int = 0
    """Number of invocations, blocked ones included; ``sets`` are those that run."""
    is_blocked: bool = False
    results: Sequence[Returned | Blocked] = ()
    """While EXPANDED: the results of the invocations, with links that are not followed yet."""
    children: Sequence[str] = ()
    """While EXPANDED: the calls whose outputs it waits for."""
    ui: Mapping[str, Any] | None = None
    inner: list[InnerOutput] = field(default_factory=list)
    files: list[KeptFile] = field(default_factory=list)
    """Files that this call and the calls inside it showed."""
    size: int = 0
    seconds: float = 0.0
