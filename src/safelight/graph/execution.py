"""Running a graph, as a decision procedure: events in, instructions out (the protocol: ``graph/instructions.py``).

How it works
============

1. The calls are found from the targets, upstream. Fingerprints are requested from nodes that have one; then every call
   is *signed*, and each signature is looked up in the cache. Cached results that name deleted files are dropped.
2. The targets that are not cached are *needed*, with everything they depend on (``graph/demand.py``).
3. One of the ready calls is started. When it is done, the calls that waited for it continue.
4. A lazy check or an expansion makes more calls needed: step 2 again, from there.

Invariants: a call starts when everything it needs is done; after the end was decided (a failure, a cancel) nothing
starts; ``Finish`` comes when no call is out. If calls wait while none is ready and none is out, there is a cycle: two
calls that lazily request each other make one, and so can an expansion.

Everything is a loop over stacks and queues, because graphs, and loops made by expansion, are deeper than Python's
stack.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from safelight.core.event import CallBlocked, CallFinished, CallsCached, CallStarted, OutputMade
from safelight.core.ids import UserId
from safelight.core.job import JobError, JobState
from safelight.core.node import Catalogue
from safelight.graph import instructions as do
from safelight.graph.arguments import Arguments, arguments_for
from safelight.graph.cache import Cache, Entry, InnerOutput
from safelight.graph.call_state import CallState, Phase
from safelight.graph.calls import CallGraph, ExpansionError
from safelight.graph.demand import Demand
from safelight.graph.expand import follow, rebased, result_links
from safelight.graph.instructions import Blocked, Event, Instruction, KeptFile, Returned
from safelight.graph.lists import ResultError, Values, gather, merge_ui
from safelight.graph.plan import order
from safelight.graph.prompt_format import Link
from safelight.graph.signature import FileDigest, Signer, as_bytes
from safelight.graph.validation_errors import cycle_text


class ProtocolError(RuntimeError):
    """The runner fed an event that the protocol does not allow at this point."""


@dataclass
class _Fingerprinting:
    """Calls whose fingerprints are awaited, and the continuation when all are known."""

    awaited: set[str]
    then: Callable[[], None]


@dataclass
class _Checking:
    """Cached results whose files are being checked, by call, and the continuation when the answer is known."""

    entries: Mapping[str, Entry]
    then: Callable[[], None]


class Execution:
    """One execution of a validated prompt. Mutable. The ``cache`` outlives it."""

    def __init__(
        self,
        prompt: Mapping[str, Any],
        catalogue: Catalogue,
        *,
        targets: Sequence[str],
        cache: Cache,
        owner: UserId,
        file_digest: FileDigest = lambda text: None,
    ) -> None:
        """``file_digest`` returns the digest of the file that a literal of the prompt names
        (``graph/signature.py``)."""
        self.graph = CallGraph(prompt, catalogue)
        """The calls, those of expansions included: what a node that requests ``DYNPROMPT`` sees."""
        self._targets = list(dict.fromkeys(targets))
        self._cache = cache
        self._signer = Signer(owner=owner, file_digest=file_digest)
        self._calls = Demand(self.graph, self._cached)
        self._completed: deque[CallState] = deque()
        self._fingerprinting: list[_Fingerprinting] = []
        self._checking: dict[int, _Checking] = {}
        self._checks = 0
        self._output_missing: set[str] = (
            set()
        )  # calls to run again because their inner outputs are gone, even if no call needs their result
        self._out: dict[str, CallState] = {}
        self._active: str | None = None
        self._executed: list[str] = []
        self._is_started = False
        self._ending: do.Finish | None = None
        self._is_finished = False
        self._pending_instructions: list[Instruction] = []

    @property
    def is_finished(self) -> bool:
        return self._is_finished

    def feed(self, event: Event) -> list[Instruction]:
        """Return the instructions that follow from ``event``; none after ``Finish``. Raises :class:`ProtocolError`."""
        if self._is_finished:
            return []
        if isinstance(event, do.Start):
            self._start()
        elif isinstance(event, do.CancelRequested):
            self._cancel(self._out.get(self._active or "") or next(iter(self._out.values()), None))
        elif isinstance(event, do.FingerprintComputed):
            self._fingerprinted(event)
        elif isinstance(event, do.FilesChecked):
            self._files_checked(event)
        else:
            self._call_answered(event)
        self._advance()
        instructions, self._pending_instructions = self._pending_instructions, []
        return instructions

    # -- start --

    def _start(self) -> None:
        if self._is_started:
            raise ProtocolError("the execution has already started")
        self._is_started = True
        try:
            for call_id in self.graph:
                self.graph.schema(call_id)
        except KeyError as missing:
            error = JobError("MissingNode", f"This worker has no node {missing}.", node_id=call_id)
            self._ending = do.Finish(JobState.FAILED, error)
            return
        reachable = order(self._targets, self.graph.sources).calls
        self._fingerprint(reachable, lambda: self._look_up(reachable, lambda: self._begin(reachable)))

    def _begin(self, reachable: Sequence[str]) -> None:
        found = ((call_id, self._cached(self._calls[call_id])) for call_id in reachable)
        cached = {call_id: entry for call_id, entry in found if entry is not None}
        self._instruct(do.Report(CallsCached([call_id for call_id in self.graph if call_id in cached])))
        targets = set(self._targets)
        firm = order(self._targets, self._firm_sources).calls
        for call_id in firm:
            if call_id in cached:
                self._report_cached(self._calls[call_id], cached[call_id], is_target=call_id in targets)
        again = [call_id for call_id in firm if call_id in self._output_missing]
        self._calls.require(dict.fromkeys([*again, *(t for t in self._targets if t not in cached)]))

    def _firm_sources(self, call_id: str) -> list[str]:
        inputs = self.graph.inputs(call_id)
        return [link.call_id for name, link in inputs.links.items() if name not in inputs.lazy]

    def _fingerprint(self, call_ids: Iterable[str], then: Callable[[], None]) -> None:
        """Request the fingerprints of the calls that have one; call ``then`` when all are known."""
        states = [state for state in map(self._calls.__getitem__, call_ids) if state.schema.has_fingerprint]
        if not states:
            then()
            return
        self._fingerprinting.append(_Fingerprinting({state.call.id for state in states}, then))
        for state in states:
            values: dict[str, Values] = {name: [value] for name, value in state.inputs.literals.items()}
            values |= {name: [None] for name in state.inputs.links}
            sets = arguments_for(state.schema, state.inputs.live, values).sets
            self._instruct(do.Fingerprint(state.call, state.schema.name, sets))

    def _fingerprinted(self, event: do.FingerprintComputed) -> None:
        waiting = next((w for w in self._fingerprinting if event.call_id in w.awaited), None)
        if waiting is None:
            raise ProtocolError(f"the fingerprint of {event.call_id} was not requested")
        self._calls[event.call_id].fingerprint = event.value
        waiting.awaited.discard(event.call_id)
        if not waiting.awaited:
            self._fingerprinting.remove(waiting)
            if self._ending is None:
                waiting.then()

    def _look_up(self, call_ids: Iterable[str], then: Callable[[], None]) -> None:
        """Sign the calls; call ``then`` when their cached results have been checked."""
        call_ids = list(call_ids)
        self._sign(call_ids)
        found = ((call_id, self._cached(self._calls[call_id])) for call_id in call_ids)
        entries = {call_id: entry for call_id, entry in found if entry is not None and entry.files}
        if not entries:
            then()
            return
        self._checks += 1
        self._checking[self._checks] = _Checking(entries, then)
        files = dict.fromkeys(file for entry in entries.values() for file in entry.files)
        self._instruct(do.CheckFiles(self._checks, tuple(files)))

    def _files_checked(self, event: do.FilesChecked) -> None:
        waiting = self._checking.pop(event.number, None)
        if waiting is None:
            raise ProtocolError(f"no check of files has the number {event.number}")
        gone = set(event.gone)
        for call_id, entry in waiting.entries.items():
            signature = self._calls[call_id].signature
            if signature is not None and not gone.isdisjoint(entry.files):
                self._cache.drop(self._signer.own(signature))
                if entry.inner:
                    self._output_missing.add(call_id)
        if self._ending is None:
            waiting.then()

    def _sign(self, call_ids: Iterable[str]) -> None:
        """Sign ``call_ids``, sources first. A call in a cycle gets no signature."""
        for call_id in call_ids:
            state = self._calls[call_id]
            parent = self._calls[state.call.parent_id] if state.call.parent_id is not None else None
            origin = None
            if parent is not None and parent.signature is not None:
                origin = parent.signature + as_bytes(call_id.removeprefix(parent.call.id))
            state.signature = self._signer.sign(
                state.schema,
                call_id=call_id,
                literals=state.inputs.literals,
                links={
                    name: (self._calls[ln.call_id].signature, ln.output_index)
                    for name, ln in state.inputs.links.items()
                },
                is_private=state.inputs.has_user_text,
                fingerprint=state.fingerprint,
                origin=origin,
            )

    # -- progress --

    def _advance(self) -> None:
        """Issue everything that can be issued now."""
        while not self._is_finished:
            while self._completed:
                for expanded in self._calls.done(self._completed.popleft()):
                    self._conclude(expanded)
            if self._ending is not None:
                if not self._out:
                    self._is_finished = True
                    self._instruct(replace(self._ending, executed=tuple(self._executed)))
                return
            if self._active is not None or not self._is_started:
                return
            state = self._calls.next_ready()
            if state is not None:
                self._visit(state)
            elif self._out or self._fingerprinting or self._checking:
                return
            elif self._calls.is_satisfied:
                self._ending = do.Finish(JobState.COMPLETED)
            else:
                cycle = self._calls.cycle()
                words = f"Dependency cycle detected: {cycle_text(cycle)}"
                self._fail(self._calls[cycle[0]], "graph.DependencyCycleError", words)

    def _visit(self, state: CallState) -> None:
        """Take a ready call from the cache after all, check its lazy inputs, or run it."""
        entry = self._cached(state)
        if entry is not None:
            state.outputs = entry.outputs
            self._report_cached(state, entry, is_target=state.schema.is_output)
            self._completed.append(state)
            return
        self._instruct(do.Report(CallStarted(state.call)))
        self._check(state)

    def _check(self, state: CallState) -> None:
        """Issue lazy checks while some lazy inputs were not requested, then run."""
        missing = [n for n in state.inputs.links if n in state.inputs.lazy and n not in state.requested]
        if missing:
            arguments = self._arguments(state)
            if arguments is not None and arguments.sets:
                state.phase = Phase.CHECKING
                self._hand_out(state, do.CheckLazy(state.call, state.schema.name, arguments.sets, missing))
            if arguments is None or arguments.sets:
                return
        self._invoke(state)

    def _invoke(self, state: CallState) -> None:
        arguments = self._arguments(state)
        if arguments is None:
            return
        state.sets, state.count = arguments.sets, arguments.count
        state.is_blocked = len(state.sets) < state.count
        for message in arguments.messages:
            blocked = CallBlocked(state.call, state.schema.name, message, tuple(self._executed))
            self._instruct(do.Report(blocked))
        state.phase = Phase.RUNNING
        if state.sets:
            self._hand_out(state, do.RunCall(state.call, state.schema.name, state.sets))
        else:
            self._returned(state, (), ())

    def _hand_out(self, state: CallState, instruction: do.CheckLazy | do.RunCall) -> None:
        self._active = state.call.id
        self._out[state.call.id] = state
        self._instruct(instruction)

    def _arguments(self, state: CallState) -> Arguments | None:
        """Return the arguments to invoke the node with; ``None`` if getting them failed the job."""
        values: dict[str, Values] = {name: [value] for name, value in state.inputs.literals.items()}
        try:
            for name, link in state.inputs.links.items():
                if name in state.inputs.raw:
                    values[name] = [list(link)]
                elif name in state.inputs.lazy and name not in state.requested:
                    # Even if its value happens to be known: a result must not depend on what else has run.
                    values[name] = [None]
                else:
                    values[name] = self._values(link)
        except ResultError as error:
            self._fail(state, "MissingOutput", str(error))
            return None
        return arguments_for(state.schema, state.inputs.live, values)

    def _values(self, link: Link) -> Values:
        source = self._calls[link.call_id]
        assert source.outputs is not None
        if not 0 <= link.output_index < len(source.outputs):
            raise ResultError(f"Node {link.call_id} ({source.schema.name}) returned no output {link.output_index}.")
        return source.outputs[link.output_index]

    # -- answers of the runner --

    def _call_answered(
        self, event: do.LazyChecked | do.CallPending | do.CallReturned | do.CallRaised | do.CallAborted
    ) -> None:
        state = self._out.get(event.call_id)
        if state is None:
            raise ProtocolError(f"call {event.call_id} is not out: {type(event).__name__}")
        if self._active == event.call_id:
            self._active = None
        if isinstance(event, do.CallPending):
            return
        del self._out[event.call_id]
        if self._ending is not None:
            return
        if isinstance(event, do.CallRaised):
            error = self._error(state, event.exception_type, event.exception_message)
            self._end(JobState.FAILED, replace(error, traceback=event.traceback, current_inputs=event.current_inputs))
        elif isinstance(event, do.CallAborted):
            self._cancel(state)
        elif isinstance(event, do.LazyChecked):
            if state.phase is not Phase.CHECKING:
                raise ProtocolError(f"call {event.call_id} has no lazy check to answer")
            self._lazy_checked(state, event.names)
        else:
            if state.phase is not Phase.RUNNING or len(event.results) != len(state.sets):
                raise ProtocolError(f"call {event.call_id}: {len(event.results)} results for {len(state.sets)} sets")
            state.size, state.seconds = event.size, event.seconds
            self._returned(state, event.results, event.files)

    def _lazy_checked(self, state: CallState, names: Sequence[str]) -> None:
        requested = {n for n in names if n in state.inputs.lazy} - state.requested
        if not requested:
            self._invoke(state)
            return
        state.requested |= requested
        sources = [link.call_id for name, link in state.inputs.links.items() if name in requested]
        self._calls.require(sources)
        if all(self._calls[source].phase is Phase.DONE for source in sources):
            self._check(state)
        else:
            state.phase = Phase.WAITING
            self._calls.wait(state, sources)

    def _returned(self, state: CallState, results: Sequence[Returned | Blocked], files: Sequence[KeptFile]) -> None:
        given = dict(zip((s.index for s in state.sets), results, strict=True))
        # Downstream of this call a blocker is silent: its message was reported.
        state.results = [given.get(index, Blocked()) for index in range(state.count)]
        state.sets = ()
        state.ui = merge_ui(r.ui for r in results if isinstance(r, Returned))
        if state.ui is not None:
            state.files += files
            self._instruct(do.Report(OutputMade(state.call, state.ui)))
        expansions = [r.expand for r in results if isinstance(r, Returned) and r.expand is not None]
        if expansions:
            self._expand(state, expansions)
        else:
            self._conclude(state)

    # -- expansions --

    def _expand(self, state: CallState, expansions: Sequence[Mapping[str, Any]]) -> None:
        state.phase = Phase.EXPANDED
        try:
            added = [call_id for graph in expansions for call_id in self.graph.add(state.call, graph)]
        except ExpansionError as error:
            self._fail(state, "InvalidExpansion", str(error))
            return
        # Its calls, and those of the prompt that were not reachable before, sources first.
        new = [c for c in order(added, self.graph.sources).calls if c not in self._calls]
        self._fingerprint(new, lambda: self._look_up(new, lambda: self._expanded(state, added)))

    def _expanded(self, state: CallState, added: Sequence[str]) -> None:
        linked = [
            link.call_id for result in state.results for link in result_links(result, self.graph) if link is not None
        ]
        shown = [c for c in added if self._calls[c].schema.is_output]
        state.children = list(dict.fromkeys([*linked, *shown]))
        self._calls.retain(state.children)
        self._calls.require(state.children)
        for child in map(self._calls.__getitem__, state.children):
            if child.phase is Phase.DONE and child.call.parent_id == state.call.id:
                entry = self._cached(child)
                if entry is not None:
                    self._report_cached(child, entry, is_target=child.schema.is_output)
        self._calls.wait(state, state.children)
        if not state.needs:
            self._conclude(state)

    # -- end of a call, and of the job --

    def _conclude(self, state: CallState) -> None:
        """Finish a call whose outputs, and those of its expansion, are complete."""
        try:
            given = [
                follow(result, result_links(result, self.graph), self._values, outputs=state.schema.outputs)
                for result in state.results
            ]
            outputs = gather(given, len(state.schema.outputs))
        except ResultError as error:
            self._fail(state, "InvalidResult", str(error))
            return
        state.outputs = outputs
        state.size += sum(self._calls[child].size for child in state.children)
        self._calls.release(state.children)
        state.results, state.children = (), ()
        if state.signature is not None and not state.is_blocked:
            # A blocked call is not cached, so that a rerun reports the message again.
            files = tuple(state.files)
            entry = Entry(state.call, outputs, state.ui, tuple(state.inner), files, state.size, state.seconds)
            self._cache.put(self._signer.own(state.signature) if files else state.signature, entry)
        if state.call.parent_id is not None:
            parent = self._calls[state.call.parent_id]
            parent.seconds += state.seconds
            parent.inner += [InnerOutput(state.call, state.ui), *state.inner] if state.ui is not None else state.inner
            parent.files += state.files
        self._executed.append(state.call.id)
        self._instruct(do.Report(CallFinished(state.call)))
        self._completed.append(state)

    def _report_cached(self, state: CallState, entry: Entry, *, is_target: bool) -> None:
        """Report the outputs of a cached call, and of the calls inside it, under its current id."""
        inner = [InnerOutput(rebased(i.call, entry.origin, state.call), i.ui) for i in entry.inner]
        if is_target:
            self._instruct(do.Report(OutputMade(state.call, entry.ui, cached=True)))
        for shown in inner:
            self._instruct(do.Report(OutputMade(shown.call, shown.ui, cached=True)))
        if is_target:
            self._instruct(do.Report(CallFinished(state.call)))
        if state.call.parent_id is not None:
            own = [InnerOutput(state.call, entry.ui)] if is_target and entry.ui is not None else []
            self._calls[state.call.parent_id].inner += own + inner
            self._calls[state.call.parent_id].files += entry.files

    def _cached(self, state: CallState) -> Entry | None:
        if state.signature is None:
            return None
        return self._cache.get(self._signer.own(state.signature)) or self._cache.get(state.signature)

    def _fail(self, state: CallState, exception_type: str, message: str) -> None:
        self._end(JobState.FAILED, self._error(state, exception_type, message))

    def _cancel(self, interrupted: CallState | None) -> None:
        if self._ending is None:
            error = self._error(interrupted, "Cancelled", "The job was cancelled.") if interrupted is not None else None
            self._end(JobState.CANCELLED, error)

    def _end(self, outcome: JobState, error: JobError | None) -> None:
        self._ending = do.Finish(outcome, error)
        for state in self._out.values():
            self._instruct(do.AbortCall(state.call))

    def _error(self, state: CallState, exception_type: str, message: str) -> JobError:
        """Make an error that names the node of the prompt, which is the one that the user sees."""
        return JobError(
            exception_type,
            message,
            node_id=state.call.real_id,
            node_type=self.graph.schema(state.call.real_id).name,
            current_outputs=tuple(self.graph.prompt),
            executed=tuple(self._executed),
        )

    def _instruct(self, instruction: Instruction) -> None:
        self._pending_instructions.append(instruction)
