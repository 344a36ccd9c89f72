"""What an execution knows of one call: where it stands, what it waits for, and what it gave."""

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

    A lazy check that asks for inputs leads back to WAITING; a call without a check or an expansion skips those states;
    one whose result is cached goes from IDLE or READY to DONE.
    """

    IDLE = auto()  # nobody needs it yet
    WAITING = auto()  # for inputs
    READY = auto()  # every input that it needs is there
    CHECKING = auto()  # the node is asked which lazy inputs it needs
    RUNNING = auto()  # the node runs
    EXPANDED = auto()  # waits for the calls that take its place
    DONE = auto()


@dataclass(slots=True, eq=False)
class CallState:
    """Mutable. ``signature`` is ``None`` where the call's result can't be told from another's."""

    call: NodeCall
    schema: NodeSchema
    inputs: CallInputs
    phase: Phase = Phase.IDLE
    position: int = 0
    """When it was first needed: of calls that are ready the earliest goes first."""
    signature: Signature | None = None
    fingerprint: Any = None
    needs: set[str] = field(default_factory=set)
    """Calls that must be done before this one can go on."""
    asked: set[str] = field(default_factory=set)
    """Lazy inputs that the node asked for."""
    waiters: list[str] = field(default_factory=list)
    """Calls that have this one among their ``needs``."""
    is_claimed: bool = False
    references: int = 0
    """Claimed calls that may yet use the outputs; at 0 they are let go."""
    outputs: Outputs | None = None
    sets: Sequence[ArgumentSet] = ()
    count: int = 0
    """Invocations, the blocked ones included; ``sets`` are those that run."""
    is_blocked: bool = False
    results: Sequence[Returned | Blocked] = ()
    """While EXPANDED: what the invocations gave, with links that are still to be followed."""
    children: Sequence[str] = ()
    """While EXPANDED: the calls whose outputs it waits for."""
    ui: Mapping[str, Any] | None = None
    inner: list[InnerOutput] = field(default_factory=list)
    files: list[KeptFile] = field(default_factory=list)
    """Those that it showed, and the calls inside it."""
    size: int = 0
    seconds: float = 0.0
