"""Which calls of a job are needed, which of those are ready, and whose outputs are still in use.

A *needed* call needs the sources of its inputs, except the lazy ones, and so on up to cached results. A needed call
that waits for nothing is *ready*. *Claimed* calls are those that may still run, lazy branches included; each retains
its sources: the outputs of a call are kept until the last claimed call that may use them is done. So every needed call
runs once, and a job keeps no more than it has to. (A later expansion may link to a call whose outputs were released:
the call then comes from the cache, or runs again.)
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from safelight.graph.cache import Entry
from safelight.graph.call_state import CallState, Phase
from safelight.graph.calls import CallGraph
from safelight.graph.plan import find_cycle


class Demand:
    """Mutable. ``lookup`` returns a call's cached result, if any."""

    def __init__(self, graph: CallGraph, lookup: Callable[[CallState], Entry | None]) -> None:
        self._graph = graph
        self._lookup = lookup
        self._states: dict[str, CallState] = {}
        self._open: dict[str, CallState] = {}
        self._ready: list[tuple[int, int, str]] = []
        self._positions = count()

    def __getitem__(self, call_id: str) -> CallState:
        """Return the state of a call of the graph; made on first use."""
        state = self._states.get(call_id)
        if state is None:
            graph = self._graph
            state = CallState(graph.call(call_id), graph.schema(call_id), graph.inputs(call_id))
            self._states[call_id] = state
        return state

    def __contains__(self, call_id: object) -> bool:
        return call_id in self._states

    @property
    def is_satisfied(self) -> bool:
        """Whether every needed call is done."""
        return not self._open

    def require(self, call_ids: Iterable[str]) -> None:
        """Mark these calls as needed, with everything they depend on, unless they are done or cached."""
        wanted = list(call_ids)
        self._claim(wanted)
        for call_id in wanted:
            self._need(call_id)

    def wait(self, state: CallState, source_ids: Iterable[str]) -> None:
        """``state`` continues when these calls are done."""
        for source_id in source_ids:
            source = self[source_id]
            if source.phase is not Phase.DONE and source_id not in state.needs:
                state.needs.add(source_id)
                source.waiters.append(state.call.id)
        self._wake(state)

    def retain(self, call_ids: Iterable[str]) -> None:
        """Keep the outputs of these calls until they are released."""
        for call_id in call_ids:
            self[call_id].references += 1

    def release(self, call_ids: Iterable[str]) -> None:
        for call_id in call_ids:
            source = self[call_id]
            source.references -= 1
            if source.references == 0 and source.phase is Phase.DONE:
                source.outputs = None

    def next_ready(self) -> CallState | None:
        """Pop the next ready call: output nodes first, then calls that feed one, so that users see results early;
        otherwise in order of discovery."""
        return self[heapq.heappop(self._ready)[2]] if self._ready else None

    def done(self, state: CallState) -> list[CallState]:
        """Mark the call as done. Return the expanded calls that waited for it and can be concluded now."""
        state.phase = Phase.DONE
        self._open.pop(state.call.id, None)
        concluded = []
        for waiter_id in state.waiters:
            waiter = self[waiter_id]
            waiter.needs.discard(state.call.id)
            if waiter.phase is Phase.EXPANDED and not waiter.needs:
                concluded.append(waiter)
            else:
                self._wake(waiter)
        state.waiters.clear()
        self.release(self._graph.sources(state.call.id))
        if state.references == 0:
            state.outputs = None
        return concluded

    def cycle(self) -> Sequence[str]:
        """Return a cycle among the waiting calls, when none of them is ready."""
        return find_cycle(list(self._open), lambda call_id: sorted(self[call_id].needs))

    def _claim(self, call_ids: Sequence[str]) -> None:
        stack = list(call_ids)
        while stack:
            state = self[stack.pop()]
            if state.phase is Phase.DONE and state.outputs is None:
                state.phase, state.is_claimed = Phase.IDLE, False  # its outputs were released
            if state.phase is not Phase.IDLE or state.is_claimed:
                continue
            state.is_claimed = True
            entry = self._lookup(state)
            if entry is not None:
                state.phase, state.outputs = Phase.DONE, entry.outputs
                continue
            sources = self._graph.sources(state.call.id)
            self.retain(sources)
            stack.extend(sources)

    def _need(self, call_id: str) -> None:
        # Last in, first out: of a call's inputs the last is discovered first, as ComfyUI's clients see it.
        stack = [call_id]
        while stack:
            state = self[stack.pop()]
            if state.phase is not Phase.IDLE:
                continue
            state.phase = Phase.WAITING
            state.position = next(self._positions)
            self._open[state.call.id] = state
            firm = [link.call_id for name, link in state.inputs.links.items() if name not in state.inputs.lazy]
            self.wait(state, firm)
            stack.extend(firm)

    def _wake(self, state: CallState) -> None:
        if state.needs or state.phase is not Phase.WAITING:
            return
        state.phase = Phase.READY
        feeds_output = any(self[waiter].schema.is_output for waiter in state.waiters)
        rank = 0 if state.schema.is_output else 1 if feeds_output else 2
        heapq.heappush(self._ready, (rank, state.position, state.call.id))
