"""Results of calls, kept across jobs and users by their signature, with a policy of what to evict first.

The bounded policy is *GreedyDual*: an entry's rank is the seconds that it took to make on top of a floor, and the floor
rises to the rank of the entry that was evicted last; use lifts an entry to the floor again. So results that are quick
to make are evicted first, oldest first, and a model that took ten seconds to load outlives thousands of quick results,
but not forever. (A plain LRU evicts the model as soon as enough small results follow it; ranking by seconds per byte
would evict it for being large.)
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from safelight.core.event import NodeCall
from safelight.graph.instructions import KeptFile
from safelight.graph.lists import Outputs
from safelight.graph.signature import Signature


@dataclass(frozen=True, slots=True)
class InnerOutput:
    """The UI output of a call that an expansion made."""

    call: NodeCall
    ui: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A call's result. ``origin``: the call that made it, under which ``inner`` outputs were shown.

    ``files``: those that it and the calls inside it showed; if one is gone, the entry must not be used. ``size`` in
    bytes and ``seconds`` are what the runner reported.
    """

    origin: NodeCall
    outputs: Outputs
    ui: Mapping[str, Any] | None = None
    inner: tuple[InnerOutput, ...] = ()
    files: tuple[KeptFile, ...] = ()
    size: int = 0
    seconds: float = 0.0


class Cache(Protocol):
    """Law: ``get`` returns the entry that was last ``put`` under the signature, or ``None``; a cache may evict at any
    time, and dropped entries are gone."""

    def get(self, signature: Signature) -> Entry | None: ...

    def put(self, signature: Signature, entry: Entry) -> None: ...

    def drop(self, signature: Signature) -> None: ...

    def clear(self) -> None: ...


class NoCache:
    """Keeps nothing. Within a job, results are still kept as long as they are needed."""

    def get(self, signature: Signature) -> Entry | None:
        return None

    def put(self, signature: Signature, entry: Entry) -> None:
        return None

    def drop(self, signature: Signature) -> None:
        return None

    def clear(self) -> None:
        return None


class LimitedCache:
    """Mutable. Keeps at most ``max_entries`` results and ``max_bytes`` of values; ``None`` is no limit."""

    def __init__(self, *, max_entries: int | None = None, max_bytes: int | None = None) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: dict[Signature, Entry] = {}
        self._ranks: dict[Signature, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Signature]] = []  # with outdated ranks in it, skipped when they surface
        self._floor = 0.0
        self._clock = 0
        self.size = 0
        """Bytes that the entries keep alive."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, signature: Signature) -> Entry | None:
        entry = self._entries.get(signature)
        if entry is not None:
            self._rank(signature, entry)
        return entry

    def put(self, signature: Signature, entry: Entry) -> None:
        self.drop(signature)
        if self._max_bytes is not None and entry.size > self._max_bytes:
            return
        self._entries[signature] = entry
        self.size += entry.size
        self._rank(signature, entry)
        while self._is_over():
            *rank, lowest = heapq.heappop(self._heap)
            if self._ranks.get(lowest) == tuple(rank):
                self._floor = rank[0]
                self.drop(lowest)

    def clear(self) -> None:
        self._entries.clear()
        self._ranks.clear()
        self._heap.clear()
        self.size = 0

    def _is_over(self) -> bool:
        too_many = self._max_entries is not None and len(self._entries) > self._max_entries
        return too_many or (self._max_bytes is not None and self.size > self._max_bytes)

    def _rank(self, signature: Signature, entry: Entry) -> None:
        self._clock += 1
        rank = (self._floor + entry.seconds, self._clock)
        self._ranks[signature] = rank
        heapq.heappush(self._heap, (*rank, signature))
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = [(*rank, signature) for signature, rank in self._ranks.items()]
            heapq.heapify(self._heap)

    def drop(self, signature: Signature) -> None:
        entry = self._entries.pop(signature, None)
        if entry is not None:
            self.size -= entry.size
            del self._ranks[signature]
