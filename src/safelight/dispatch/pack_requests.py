"""The HTTP routes of node packs: which there are, and requests to the engines that serve them.

A pack keeps its state in its engine's memory: its routes write what a job's nodes read there, and read what the nodes
write. So an owner whose request has changed something is *bound* to the slot that answered: later requests and jobs
(``scheduling/affinity.py``) go to that slot, until its engine ends or the owner sends no request for a while. A request
that only reads is sent to the other slots too if the first answers 404: an image that a job made is in the slot that
ran it.
"""

import asyncio
import re
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from safelight.core.clock import Clock
from safelight.core.errors import Unavailable
from safelight.core.event import PackMessageSent
from safelight.core.ids import ClientId, UserId
from safelight.core.worker import SlotId
from safelight.dispatch.backend import Backend
from safelight.wire.correlator import Correlator
from safelight.wire.messages import PackMessage, PackRequest, PackResponse, PackRoute

ANSWER_S = 65.0
"""A little longer than the time limit that the engine itself sets for a pack."""
BOUND_S = 900.0
"""An owner stays bound for this long after their last request."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that must not change anything; a pack whose handler does is at fault."""
_NOT_FOUND = 404
_MAX_REMEMBERED = 1024
"""Requests whose handlers may still send messages to clients."""


class NoResponse(Unavailable):
    code = "node_pack_unavailable"


@dataclass(frozen=True, slots=True)
class _Route:
    pack: str
    method: str
    pattern: re.Pattern[str]


@dataclass(slots=True)
class _Binding:
    slot: SlotId
    until_s: float


class PackRoutes:
    """Mutable: the routes of each ready engine, which owner is bound to which slot, and the requests without an answer.
    Used on the event loop's thread only."""

    def __init__(
        self,
        backend: Backend,
        *,
        clock: Clock,
        is_idle: Callable[[SlotId], bool] = lambda slot: True,
        rank: Callable[[SlotId], int] = lambda slot: 0,
    ) -> None:
        """``rank``: of the slot's engine kind. Where engines of several kinds have a pack, those of the lowest rank
        serve it."""
        self._backend = backend
        self._clock = clock
        self._is_idle = is_idle
        self._rank = rank
        self._routes: dict[SlotId, list[_Route]] = {}
        self._latest: dict[SlotId, list[_Route]] = {}  # those of ended engines too
        self._bindings: dict[UserId, _Binding] = {}
        self._requests: Correlator[PackResponse] = Correlator(first_id=secrets.randbits(48))
        self._owners: OrderedDict[int, UserId] = OrderedDict()  # of the latest requests

    def ready(self, slot: SlotId, routes: Sequence[PackRoute]) -> None:
        found = [_Route(route.pack, route.method, re.compile(route.pattern)) for route in routes]
        self._routes[slot] = self._latest[slot] = found

    def pack_of(self, method: str, path: str) -> str | None:
        """The pack that serves ``path`` (decoded, without its query), now or when its engine has restarted; ``None`` if
        there is none."""
        for routes in (self._routes, self._latest):
            for slot in self._backend.slots:
                if (route := _find(routes.get(slot, ()), method, path)) is not None:
                    return route.pack
        return None

    def bindings(self) -> Mapping[UserId, SlotId]:
        """The slot of each bound owner."""
        now = self._clock.monotonic_s()
        self._bindings = {owner: binding for owner, binding in self._bindings.items() if binding.until_s > now}
        return {owner: binding.slot for owner, binding in self._bindings.items()}

    async def request(
        self,
        owner_id: UserId,
        *,
        method: str,
        path: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> PackResponse:
        """The pack's response. ``target``: the path with its query, as sent. Raises :class:`NoResponse`."""
        slots = [slot for slot in self._backend.slots if _find(self._routes.get(slot, ()), method, path)]
        if not slots:
            raise NoResponse("the worker that has this node pack is starting; try again in a few seconds")
        slot = self._choose(owner_id, [slot for slot in slots if self._rank(slot) == min(map(self._rank, slots))])
        if method not in READING or owner_id in self._bindings:
            self._bindings[owner_id] = _Binding(slot, self._clock.monotonic_s() + BOUND_S)
        message = PackRequest(
            request_id=0,
            method=method,
            path=target,
            headers=[*headers.items(), ("comfy-user", owner_id)],
            body=body,
        )
        answer = await self._send(owner_id, slot, message)
        if method in READING and answer.status == _NOT_FOUND:
            for other in slots:
                if other != slot and (found := await self._send(owner_id, other, message)).status != _NOT_FOUND:
                    return found
        return answer

    async def _send(self, owner_id: UserId, slot: SlotId, message: PackRequest) -> PackResponse:
        with self._requests.request(slot) as request:
            self._owners[request.id] = owner_id
            while len(self._owners) > _MAX_REMEMBERED:
                self._owners.popitem(last=False)
            self._backend.send(slot, msgspec.structs.replace(message, request_id=request.id))
            try:
                return await asyncio.wait_for(asyncio.wrap_future(request.answer), ANSWER_S)
            except TimeoutError:
                raise NoResponse(f"the node pack did not answer within {ANSWER_S:g} s") from None

    def answered(self, message: PackResponse) -> None:
        self._requests.answer(message.request_id, message)

    def message_event(self, message: PackMessage) -> PackMessageSent | None:
        """The event for a handler's message. It goes to the sockets of the owner whose request the handler serves: the
        engine does not name them."""
        owner = self._owners.get(message.request_id)
        if owner is None:
            return None
        client = ClientId(message.client_id) if message.client_id else None
        return PackMessageSent(owner, client, message.name, message.data)

    def lost(self, slot: SlotId) -> None:
        """The slot's engine has ended."""
        self._routes.pop(slot, None)
        self._bindings = {owner: binding for owner, binding in self._bindings.items() if binding.slot != slot}
        self._requests.fail(lambda: NoResponse("the worker that served this node pack has ended"), scope=slot)

    def _choose(self, owner_id: UserId, slots: Collection[SlotId]) -> SlotId:
        """The slot that the owner is bound to; else one with few bound owners, so that not all share the first."""
        bindings = self.bindings()
        if (bound := bindings.get(owner_id)) in slots and bound is not None:
            return bound
        counts = Counter(bindings.values())
        return min(slots, key=lambda slot: (counts[slot], not self._is_idle(slot)))


def _find(routes: Sequence[_Route], method: str, path: str) -> _Route | None:
    wanted = {method, "*"} | ({"GET"} if method == "HEAD" else set())
    for route in routes:
        if route.method in wanted and route.pattern.fullmatch(path):
            return route
    return None
