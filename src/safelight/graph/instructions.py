"""The vocabulary between a graph's execution and the runner of its nodes: events in, instructions out.

The protocol
============

:class:`~safelight.graph.execution.Execution` decides, the *runner* (``runtime/job_loop.py``) does. The runner feeds one
event and carries out the instructions that come back, in their order; each that says "answer with" is answered by
feeding that event, which may bring further instructions. It begins with :class:`Start` and is over with
:class:`Finish`, which is the last instruction ever. The execution has no clock, no threads and no I/O, and values are
opaque to it: it stores what the runner returns and passes it on.

::

    Start ─► Fingerprint* ─► (FingerprintComputed for each) ─► CheckFiles? ─► (FilesChecked)
          ─► Report(CallsCached) ─► Report(CallStarted), RunCall ─► ...

* **One at a time, unless pending.** At most one :class:`RunCall` or :class:`CheckLazy` is unanswered, unless the
  runner reports :class:`CallPending` for it (an async node that awaits something): then the next ready call is issued.
  When nothing is ready the answer is an empty list, and the runner waits for what is pending.
* **Files.** A cached result may name files that its owner has deleted since. Before such a result is used,
  :class:`CheckFiles` asks which files are gone; answer with :class:`FilesChecked`. What named one of those is made
  again.
* **Lists.** A :class:`RunCall` carries one :class:`ArgumentSet` per element over which the call is mapped: one set for
  most, one set of lists for an ``INPUT_IS_LIST`` node. The runner runs the sets in order and answers with one
  :class:`Returned` or :class:`Blocked` for each. ``ArgumentSet.index`` is its position in the list, which goes into ids
  of an expansion. A call that is mapped over an empty list is finished without a ``RunCall``.
* **Blockers.** An output that stops what follows is a :class:`Blocked`, as a value in ``Returned.values`` (also inside
  a list output), or in place of a whole ``Returned``. Sets that would receive one are never issued. A message is
  reported once (``CallBlocked``), at the call that would have used it; beyond that call the blocker is silent.
* **Laziness.** :class:`CheckLazy` is issued while some linked lazy inputs were not requested; they are ``None`` in its
  sets. Answer with the names that the node needs (the union over the sets; none if it has no ``check_lazy_status``).
  The call is *started* again (``CallStarted``) if it had to wait for those, and checked again if any are still
  missing. Lazy inputs that were never requested are ``None`` in the ``RunCall``.
* **Expansion.** ``Returned.expand`` is a graph in API format, ``{id: {"class_type", "inputs"}}``. Its ids must be new
  and the same on every run: ``<call id>.<set index>.<graph index>.<n>``. ``values`` may then hold links
  ``[id, output index]`` into it, beside plain values. Inputs of its nodes may be live values as well as literals and
  links. The call is finished when all that its values and its inner output nodes need has run. Errors inside blame the
  real node.
* **Arguments.** Keys are the node's own input names; dynamic inputs are nested
  (``{"resize_type": {"resize_type": "scale width", "width": 11}}``, ``{"images": {"image0": ...}}``). ``rawLink``
  inputs hold the link itself, ``[id, output index]``. Linked inputs that the schema doesn't declare are passed on;
  undeclared literals are not. **Hidden inputs are the runner's business**: it has the schema, ``call.id`` (UNIQUE_ID)
  and ``Execution.graph`` (DYNPROMPT); for an ``INPUT_IS_LIST`` node it wraps them in a list of one.
* **Failure.** :class:`CallRaised` ends the job as failed: :class:`AbortCall` is issued for every call that is still
  out, and ``Finish`` when all of them were answered (by any of ``CallAborted``, ``CallReturned``, ``CallRaised``), so
  that nothing of a job runs after its ``Finish``.
* **Cancel.** :class:`CancelRequested` may be fed at any moment before ``Finish``; nothing starts after it. Calls that
  are out are aborted as above; an ``AbortCall`` for one that the runner has not begun is answered with
  ``CallAborted`` without beginning it. A call that ends by itself because it saw the cancel is ``CallAborted`` too.
  A call is out from its ``RunCall`` or ``CheckLazy`` to its answer; fingerprints are not aborted and may be left
  unanswered after a cancel.

A :class:`Report` carries an event of ``core/event.py`` and needs no answer. Reports come in the order that ComfyUI's
clients expect: ``CallStarted``, [progress], [``OutputMade``], ``CallFinished``. Calls that come from the cache are
not started; a cached output call reports its output again, and that it is finished.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from safelight.core.event import CallEvent, NodeCall
from safelight.core.job import JobError, JobState

# -- values --


@dataclass(frozen=True, slots=True)
class Blocked:
    """An output that stops every call that would use it. ``None``: silently; a message is shown to the user once."""

    message: str | None = None


@dataclass(frozen=True, slots=True)
class ArgumentSet:
    """The keyword arguments of one invocation; ``index`` is its position in the list over which the call is mapped."""

    index: int
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Returned:
    """The result of one invocation: a value per output, the UI output, and a graph that replaces the call.

    An output that the schema declares as a list has a list (or tuple) of values here.
    """

    values: Sequence[Any] = ()
    ui: Mapping[str, Any] | None = None
    expand: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of the owner's that a call saved and showed."""

    folder: str
    subfolder: str
    filename: str
    digest: str


# -- events: what the runner reports --


@dataclass(frozen=True, slots=True)
class Start:
    """Begin. The first event."""


@dataclass(frozen=True, slots=True)
class FingerprintComputed:
    """The answer to :class:`Fingerprint`. ``value``: what the node returned (a list for several sets).

    NaN, and anything not made of plain data (str, bytes, numbers, lists, tuples, sets, dicts), never equals an earlier
    fingerprint; one that raised is reported as NaN.
    """

    call_id: str
    value: Any


@dataclass(frozen=True, slots=True)
class FilesChecked:
    """The answer to :class:`CheckFiles` of that number: the files that the owner no longer has."""

    number: int
    gone: Collection[KeptFile] = ()


@dataclass(frozen=True, slots=True)
class LazyChecked:
    """The answer to :class:`CheckLazy`: the inputs that the node needs now."""

    call_id: str
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class CallPending:
    """A call (or its lazy check) waits for something; another may be started beside it."""

    call_id: str


@dataclass(frozen=True, slots=True)
class CallReturned:
    """The answer to :class:`RunCall`: one result per argument set.

    ``size``: bytes that the values keep alive, ``seconds``: how long the call took; the cache ranks entries by both.
    ``files``: those that the call saved.
    """

    call_id: str
    results: Sequence[Returned | Blocked]
    size: int = 0
    seconds: float = 0.0
    files: Sequence[KeptFile] = ()


@dataclass(frozen=True, slots=True)
class CallRaised:
    """A call or its lazy check raised. ``current_inputs`` are for people: short texts, never live values."""

    call_id: str
    exception_type: str
    exception_message: str
    traceback: Sequence[str] = ()
    current_inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallAborted:
    """A call ended without a result because it was aborted, or because it saw that its job was cancelled."""

    call_id: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The job's owner cancelled it."""


Event = (
    Start
    | FingerprintComputed
    | FilesChecked
    | LazyChecked
    | CallPending
    | CallReturned
    | CallRaised
    | CallAborted
    | CancelRequested
)

# -- instructions: what the runner must do --


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Ask the node for its fingerprint (``fingerprint_inputs``, ``IS_CHANGED``); answer with ``FingerprintComputed``.

    Linked inputs are ``None``: a fingerprint sees literals only. Several of these may be out at once.
    """

    call: NodeCall
    node: str
    sets: Sequence[ArgumentSet]


@dataclass(frozen=True, slots=True)
class CheckFiles:
    """Ask which of these files the owner no longer has, or has with other bytes; answer with ``FilesChecked``. After a
    cancel it may be left unanswered."""

    number: int
    files: Sequence[KeptFile]


@dataclass(frozen=True, slots=True)
class CheckLazy:
    """Ask the node which of its ``missing`` inputs it needs (``check_lazy_status``); answer with ``LazyChecked``."""

    call: NodeCall
    node: str
    sets: Sequence[ArgumentSet]
    missing: Sequence[str]


@dataclass(frozen=True, slots=True)
class RunCall:
    """Run the node once per argument set; answer with ``CallReturned``, ``CallRaised`` or ``CallAborted``."""

    call: NodeCall
    node: str
    sets: Sequence[ArgumentSet]


@dataclass(frozen=True, slots=True)
class AbortCall:
    """End this call as soon as it can be; it must still be answered."""

    call: NodeCall


@dataclass(frozen=True, slots=True)
class Report:
    """Report ``event`` to the job's clients. Needs no answer."""

    event: CallEvent


@dataclass(frozen=True, slots=True)
class Finish:
    """The end. ``error`` is set for failed runs; for a cancelled one it names the call that was interrupted, if any.

    ``executed``: calls that ran to their end in this job, in that order.
    """

    outcome: JobState
    error: JobError | None = None
    executed: Sequence[str] = ()


Instruction = Fingerprint | CheckFiles | CheckLazy | RunCall | AbortCall | Report | Finish
