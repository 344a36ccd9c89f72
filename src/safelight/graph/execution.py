"""Running a graph, as a decision procedure: events in, instructions out (the protocol: ``graph/instructions.py``).

How it goes
===========

1. Calls are found from the targets, against the data. Those whose node has a fingerprint are asked for it; then every
   call is *signed*, and the cache is asked for each signature. What it has is dropped where it names files that are
   gone.
2. The targets that are not cached are *needed*, with all that they rest on (``graph/demand.py``).
3. Of the ready calls one is started. When it is done, those that waited for it go on.
4. A lazy check, or an expansion, makes more calls needed: step 2 again, from there.

Invariants: a call starts when all that it needs is done; after an end was decided (a failure, a cancel) nothing starts;
``Finish`` comes when nothing is out. With nothing ready and nothing out while calls wait, there is a cycle: two calls
that lazily ask for each other make one, and so can an expansion.

Everything is a loop over stacks and queues, because graphs, and loops by expansion, are deeper than Python's stack.
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
from safelight.graph.prompt import Link
from safelight.graph.signature import FileDigest, Signer, as_bytes
from safelight.graph.validation_errors import cycle_text


class ProtocolError(RuntimeError):
    """The runner said something that the protocol does not allow at this point."""


@dataclass
class _Fingerprinting:
    """Calls whose fingerprints are awaited, and what follows when all are there."""

    awaited: set[str]
    then: Callable[[], None]


@dataclass
class _Checking:
    """Cached results whose files are looked for, by call, and what follows when that is known."""

    entries: Mapping[str, Entry]
    then: Callable[[], None]


class Execution:
    """One run of a validated prompt. Mutable. The ``cache`` outlives it."""

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
        """``file_digest`` tells the content of the file that a literal of the prompt names (``graph/signature.py``)."""
        self.graph = CallGraph(prompt, catalogue)
        """The calls, those of expansions included: what a node that asks for ``DYNPROMPT`` is shown."""
        self._targets = list(dict.fromkeys(targets))
        self._cache = cache
        self._signer = Signer(owner=owner, file_digest=file_digest)
        self._calls = Demand(self.graph, self._cached)
        self._completed: deque[CallState] = deque()
        self._fingerprinting: list[_Fingerprinting] = []
        self._checking: dict[int, _Checking] = {}
        self._checks = 0
        self._to_show: set[str] = set()  # calls whose inner outputs must be made again, whoever needs their result
        self._out: dict[str, CallState] = {}
        self._active: str | None = None
        self._executed: list[str] = []
        self._is_started = False
        self._ending: do.Finish | None = None
        self._is_finished = False
        self._said: list[Instruction] = []

    @property
    def is_finished(self) -> bool:
        return self._is_finished

    def feed(self, event: Event) -> list[Instruction]:
        """What follows from ``event``; after ``Finish`` nothing does. Raises :class:`ProtocolError`."""
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
            self._answered(event)
        self._advance()
        said, self._said = self._said, []
        return said

    # -- the beginning --

    def _start(self) -> None:
        if self._is_started:
            raise ProtocolError("an execution starts once")
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
        self._say(do.Report(CallsCached([call_id for call_id in self.graph if call_id in cached])))
        targets = set(self._targets)
        firm = order(self._targets, self._firm_sources).calls
        for call_id in firm:
            if call_id in cached:
                self._retell(self._calls[call_id], cached[call_id], is_target=call_id in targets)
        again = [call_id for call_id in firm if call_id in self._to_show]
        self._calls.require(dict.fromkeys([*again, *(t for t in self._targets if t not in cached)]))

    def _firm_sources(self, call_id: str) -> list[str]:
        inputs = self.graph.inputs(call_id)
        return [link.call_id for name, link in inputs.links.items() if name not in inputs.lazy]

    def _fingerprint(self, call_ids: Iterable[str], then: Callable[[], None]) -> None:
        """Ask for the fingerprints of those that have one; ``then`` follows when all are known."""
        states = [state for state in map(self._calls.__getitem__, call_ids) if state.schema.has_fingerprint]
        if not states:
            then()
            return
        self._fingerprinting.append(_Fingerprinting({state.call.id for state in states}, then))
        for state in states:
            values: dict[str, Values] = {name: [value] for name, value in state.inputs.literals.items()}
            values |= {name: [None] for name in state.inputs.links}
            sets = arguments_for(state.schema, state.inputs.live, values).sets
            self._say(do.Fingerprint(state.call, state.schema.name, sets))

    def _fingerprinted(self, event: do.FingerprintComputed) -> None:
        waiting = next((w for w in self._fingerprinting if event.call_id in w.awaited), None)
        if waiting is None:
            raise ProtocolError(f"nobody asked for the fingerprint of {event.call_id}")
        self._calls[event.call_id].fingerprint = event.value
        waiting.awaited.discard(event.call_id)
        if not waiting.awaited:
            self._fingerprinting.remove(waiting)
            if self._ending is None:
                waiting.then()

    def _look_up(self, call_ids: Iterable[str], then: Callable[[], None]) -> None:
        """Sign the calls; ``then`` follows when what the cache has of them is known to be of use."""
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
        self._say(do.CheckFiles(self._checks, tuple(files)))

    def _files_checked(self, event: do.FilesChecked) -> None:
        waiting = self._checking.pop(event.number, None)
        if waiting is None:
            raise ProtocolError(f"nobody asked for the files of {event.number}")
        gone = set(event.gone)
        for call_id, entry in waiting.entries.items():
            signature = self._calls[call_id].signature
            if signature is not None and not gone.isdisjoint(entry.files):
                self._cache.drop(self._signer.own(signature))
                if entry.inner:
                    self._to_show.add(call_id)
        if self._ending is None:
            waiting.then()

    def _sign(self, call_ids: Iterable[str]) -> None:
        """``call_ids``: sources first. A call in a cycle gets no signature."""
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
                is_private=state.inputs.has_own_words,
                fingerprint=state.fingerprint,
                origin=origin,
            )

    # -- going on --

    def _advance(self) -> None:
        """Give out whatever can be given out now."""
        while not self._is_finished:
            while self._completed:
                for expanded in self._calls.done(self._completed.popleft()):
                    self._conclude(expanded)
            if self._ending is not None:
                if not self._out:
                    self._is_finished = True
                    self._say(replace(self._ending, executed=tuple(self._executed)))
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
        """A call whose inputs are there: taken from the cache after all, asked for lazy inputs, or run."""
        entry = self._cached(state)
        if entry is not None:
            state.outputs = entry.outputs
            self._retell(state, entry, is_target=state.schema.is_output)
            self._completed.append(state)
            return
        self._say(do.Report(CallStarted(state.call)))
        self._check(state)

    def _check(self, state: CallState) -> None:
        """Ask for lazy inputs while there are any that were not asked for, then run."""
        missing = [n for n in state.inputs.links if n in state.inputs.lazy and n not in state.asked]
        if missing:
            arguments = self._arguments(state)
            if arguments is not None and arguments.sets:
                state.phase = Phase.CHECKING
                self._give(state, do.CheckLazy(state.call, state.schema.name, arguments.sets, missing))
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
            self._say(do.Report(blocked))
        state.phase = Phase.RUNNING
        if state.sets:
            self._give(state, do.RunCall(state.call, state.schema.name, state.sets))
        else:
            self._returned(state, (), ())

    def _give(self, state: CallState, instruction: do.CheckLazy | do.RunCall) -> None:
        self._active = state.call.id
        self._out[state.call.id] = state
        self._say(instruction)

    def _arguments(self, state: CallState) -> Arguments | None:
        """What to invoke the node with; ``None`` if that failed the job."""
        values: dict[str, Values] = {name: [value] for name, value in state.inputs.literals.items()}
        try:
            for name, link in state.inputs.links.items():
                if name in state.inputs.raw:
                    values[name] = [list(link)]
                elif name in state.inputs.lazy and name not in state.asked:
                    # Also where it is there by chance: what a call gives must not depend on what else has run.
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
            raise ResultError(f"Node {link.call_id} ({source.schema.name}) gave no output {link.output_index}.")
        return source.outputs[link.output_index]

    # -- answers --

    def _answered(
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
                raise ProtocolError(f"call {event.call_id} was not asked for lazy inputs")
            self._lazy_checked(state, event.names)
        else:
            if state.phase is not Phase.RUNNING or len(event.results) != len(state.sets):
                raise ProtocolError(f"call {event.call_id}: {len(event.results)} results for {len(state.sets)} sets")
            state.size, state.seconds = event.size, event.seconds
            self._returned(state, event.results, event.files)

    def _lazy_checked(self, state: CallState, names: Sequence[str]) -> None:
        asked = {n for n in names if n in state.inputs.lazy} - state.asked
        if not asked:
            self._invoke(state)
            return
        state.asked |= asked
        sources = [link.call_id for name, link in state.inputs.links.items() if name in asked]
        self._calls.require(sources)
        if all(self._calls[source].phase is Phase.DONE for source in sources):
            self._check(state)
        else:
            state.phase = Phase.WAITING
            self._calls.wait(state, sources)

    def _returned(self, state: CallState, results: Sequence[Returned | Blocked], files: Sequence[KeptFile]) -> None:
        given = dict(zip((s.index for s in state.sets), results, strict=True))
        # Beyond this call a blocker is silent: its message was told.
        state.results = [given.get(index, Blocked()) for index in range(state.count)]
        state.sets = ()
        state.ui = merge_ui(r.ui for r in results if isinstance(r, Returned))
        if state.ui is not None:
            state.files += files
            self._say(do.Report(OutputMade(state.call, state.ui)))
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
        # Its calls, and those of the prompt that nothing else led to, sources first.
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
                    self._retell(child, entry, is_target=child.schema.is_output)
        self._calls.wait(state, state.children)
        if not state.needs:
            self._conclude(state)

    # -- the end of a call, and of the job --

    def _conclude(self, state: CallState) -> None:
        """Everything that the call's outputs are made of is there."""
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
            # A blocked call is not kept, so that a rerun tells the message again.
            files = tuple(state.files)
            entry = Entry(state.call, outputs, state.ui, tuple(state.inner), files, state.size, state.seconds)
            self._cache.put(self._signer.own(state.signature) if files else state.signature, entry)
        if state.call.parent_id is not None:
            parent = self._calls[state.call.parent_id]
            parent.seconds += state.seconds
            parent.inner += [InnerOutput(state.call, state.ui), *state.inner] if state.ui is not None else state.inner
            parent.files += state.files
        self._executed.append(state.call.id)
        self._say(do.Report(CallFinished(state.call)))
        self._completed.append(state)

    def _retell(self, state: CallState, entry: Entry, *, is_target: bool) -> None:
        """Show again what a cached call showed, and what the calls inside it did, under its present name."""
        inner = [InnerOutput(rebased(i.call, entry.origin, state.call), i.ui) for i in entry.inner]
        if is_target:
            self._say(do.Report(OutputMade(state.call, entry.ui, cached=True)))
        for shown in inner:
            self._say(do.Report(OutputMade(shown.call, shown.ui, cached=True)))
        if is_target:
            self._say(do.Report(CallFinished(state.call)))
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
            self._say(do.AbortCall(state.call))

    def _error(self, state: CallState, exception_type: str, message: str) -> JobError:
        """Blamed on the node of the prompt, which is the one that the user sees."""
        return JobError(
            exception_type,
            message,
            node_id=state.call.real_id,
            node_type=self.graph.schema(state.call.real_id).name,
            current_outputs=tuple(self.graph.prompt),
            executed=tuple(self._executed),
        )

    def _say(self, instruction: Instruction) -> None:
        self._said.append(instruction)
