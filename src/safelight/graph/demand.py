"""Which calls of a job are needed, which of those can go on, and whose outputs are still of use.

A *needed* call needs the sources of its inputs, save the lazy ones, and so on up to what is cached; who waits for
nothing is *ready*. *Claimed* are the calls that may still run, lazy branches included, and each holds its sources:
outputs are kept from when a call is done until the last call that may use them is. So every needed call runs once, and
a job keeps no more than it has to. (A later expansion may link to a call whose outputs were let go: it comes from the
cache or is run again.)
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from safelight.graph.cache import Entry
from safelight.graph.calls import CallGraph
from safelight.graph.plan import find_cycle
from safelight.graph.run import Run, State


class Demand:
    """Mutable. ``lookup`` asks the cache for a call's result."""

    def __init__(self, graph: CallGraph, lookup: Callable[[Run], Entry | None]) -> None:
        self._graph = graph
        self._lookup = lookup
        self._runs: dict[str, Run] = {}
        self._open: dict[str, Run] = {}
        self._ready: list[tuple[int, int, str]] = []
        self._positions = count()

    def __getitem__(self, call_id: str) -> Run:
        """The record of a call of the graph, made on first use."""
        run = self._runs.get(call_id)
        if run is None:
            graph = self._graph
            run = Run(graph.call(call_id), graph.schema(call_id), graph.inputs(call_id))
            self._runs[call_id] = run
        return run

    def __contains__(self, call_id: object) -> bool:
        return call_id in self._runs

    @property
    def is_satisfied(self) -> bool:
        """Nothing that is needed is still to be done."""
        return not self._open

    def require(self, call_ids: Iterable[str]) -> None:
        """Make these calls run, and all that they rest on, unless they are done or cached."""
        wanted = list(call_ids)
        self._claim(wanted)
        for call_id in wanted:
            self._need(call_id)

    def wait(self, run: Run, source_ids: Iterable[str]) -> None:
        """``run`` goes on when these calls are done."""
        for source_id in source_ids:
            source = self[source_id]
            if source.state is not State.DONE and source_id not in run.needs:
                run.needs.add(source_id)
                source.waiters.append(run.call.id)
        self._wake(run)

    def hold(self, call_ids: Iterable[str]) -> None:
        """Keep the outputs of these calls until they are let go."""
        for call_id in call_ids:
            self[call_id].holders += 1

    def let_go(self, call_ids: Iterable[str]) -> None:
        for call_id in call_ids:
            source = self[call_id]
            source.holders -= 1
            if source.holders == 0 and source.state is State.DONE:
                source.outputs = None

    def next_ready(self) -> Run | None:
        """Outputs first, then what feeds an output, so that a user sees something early; else in order of discovery."""
        return self[heapq.heappop(self._ready)[2]] if self._ready else None

    def done(self, run: Run) -> list[Run]:
        """The call is done. Gives back the expanded calls that waited for it and can be concluded now."""
        run.state = State.DONE
        self._open.pop(run.call.id, None)
        concluded = []
        for waiter_id in run.waiters:
            waiter = self[waiter_id]
            waiter.needs.discard(run.call.id)
            if waiter.state is State.EXPANDED and not waiter.needs:
                concluded.append(waiter)
            else:
                self._wake(waiter)
        run.waiters.clear()
        self.let_go(self._graph.sources(run.call.id))
        if run.holders == 0:
            run.outputs = None
        return concluded

    def cycle(self) -> Sequence[str]:
        """A cycle among the calls that wait, where nothing is left that could go on."""
        return find_cycle(list(self._open), lambda call_id: sorted(self[call_id].needs))

    def _claim(self, call_ids: Sequence[str]) -> None:
        stack = list(call_ids)
        while stack:
            run = self[stack.pop()]
            if run.state is State.DONE and run.outputs is None:
                run.state, run.is_claimed = State.IDLE, False  # its outputs were let go
            if run.state is not State.IDLE or run.is_claimed:
                continue
            run.is_claimed = True
            entry = self._lookup(run)
            if entry is not None:
                run.state, run.outputs = State.DONE, entry.outputs
                continue
            sources = self._graph.sources(run.call.id)
            self.hold(sources)
            stack.extend(sources)

    def _need(self, call_id: str) -> None:
        # Last in, first out: of a call's inputs the last is discovered first, as ComfyUI's clients see it.
        stack = [call_id]
        while stack:
            run = self[stack.pop()]
            if run.state is not State.IDLE:
                continue
            run.state = State.WAITING
            run.position = next(self._positions)
            self._open[run.call.id] = run
            firm = [link.call_id for name, link in run.inputs.links.items() if name not in run.inputs.lazy]
            self.wait(run, firm)
            stack.extend(firm)

    def _wake(self, run: Run) -> None:
        if run.needs or run.state is not State.WAITING:
            return
        run.state = State.READY
        feeds_output = any(self[waiter].schema.is_output for waiter in run.waiters)
        rank = 0 if run.schema.is_output else 1 if feeds_output else 2
        heapq.heappush(self._ready, (rank, run.position, run.call.id))
