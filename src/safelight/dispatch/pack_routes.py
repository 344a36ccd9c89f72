"""Which routes node packs have, and asking an engine for the answer of one.

A pack keeps what it is told in its engine's memory, where a job's nodes look for it, and what a job leaves there its
routes tell. So an owner who has changed something over a pack's route is *bound* to the slot that answered: later
requests go there, and jobs (``affinity.py``), until that engine ends or the owner asks for nothing for a while. What
only reads is asked of the other slots as well, where the first does not know: a picture that a job has made is in the
slot that ran it.
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
from safelight.wire.messages import PackMessage, PackRequest, PackResponse, PackRoute

ANSWER_S = 65.0
"""A little longer than the engine itself gives a pack."""
BOUND_S = 900.0
"""How long an owner stays bound after the last request."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing, or are the pack's fault where they do."""
_NOT_FOUND = 404
_MAX_REMEMBERED = 1024
"""Requests whose handlers may still have something to say."""


class NoResponse(Unavailable):
    code = "node_pack_unavailable"


@dataclass(frozen=True, slots=True)
class _Route:
    pack: str
    method: str
    pattern: re.Pattern[str]


@dataclass(slots=True)
class _Bond:
    slot: SlotId
    until_s: float


class PackRoutes:
    """Mutable: the routes of each engine that is ready, who is bound to which, and the questions that are out. Event
    loop's thread only."""

    def __init__(
        self, backend: Backend, *, clock: Clock, is_idle: Callable[[SlotId], bool] = lambda slot: True
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._is_idle = is_idle
        self._routes: dict[SlotId, list[_Route]] = {}
        self._bonds: dict[UserId, _Bond] = {}
        self._asked: dict[int, tuple[SlotId, asyncio.Future[PackResponse]]] = {}
        self._askers: OrderedDict[int, UserId] = OrderedDict()
        self._last = secrets.randbits(48)  # an engine may be yet to answer what another server asked

    def ready(self, slot: SlotId, routes: Sequence[PackRoute]) -> None:
        self._routes[slot] = [_Route(route.pack, route.method, re.compile(route.pattern)) for route in routes]

    def pack_of(self, method: str, path: str) -> str | None:
        """The pack that answers at ``path`` (decoded, without its query); ``None`` where none does."""
        for slot in self._backend.slots:
            if (route := self._find(slot, method, path)) is not None:
                return route.pack
        return None

    def bonds(self) -> Mapping[UserId, SlotId]:
        """Who is bound to which slot."""
        now = self._clock.monotonic_s()
        self._bonds = {owner: bond for owner, bond in self._bonds.items() if bond.until_s > now}
        return {owner: bond.slot for owner, bond in self._bonds.items()}

    async def ask(
        self,
        owner_id: UserId,
        *,
        method: str,
        path: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> PackResponse:
        """``target``: the path as it was written, with its query. Raises :class:`NoResponse`."""
        slots = [slot for slot in self._backend.slots if self._find(slot, method, path) is not None]
        if not slots:
            raise NoResponse("The worker that answers for this node pack is not there")
        slot = self._choose(owner_id, slots)
        if method not in READING or owner_id in self._bonds:
            self._bonds[owner_id] = _Bond(slot, self._clock.monotonic_s() + BOUND_S)
        message = PackRequest(
            request_id=0,
            method=method,
            path=target,
            headers=[*headers.items(), ("comfy-user", owner_id)],
            body=body,
        )
        answer = await self._ask(owner_id, slot, message)
        if method in READING and answer.status == _NOT_FOUND:
            for other in slots:
                if other != slot and (found := await self._ask(owner_id, other, message)).status != _NOT_FOUND:
                    return found
        return answer

    async def _ask(self, owner_id: UserId, slot: SlotId, message: PackRequest) -> PackResponse:
        self._last += 1
        number, answer = self._last, asyncio.get_running_loop().create_future()
        self._asked[number] = (slot, answer)
        self._askers[number] = owner_id
        while len(self._askers) > _MAX_REMEMBERED:
            self._askers.popitem(last=False)
        self._backend.send(slot, msgspec.structs.replace(message, request_id=number))
        try:
            return await asyncio.wait_for(answer, ANSWER_S)
        except TimeoutError:
            raise NoResponse("The node pack did not answer in time") from None
        finally:
            del self._asked[number]

    def answered(self, message: PackResponse) -> None:
        _, answer = self._asked.get(message.request_id, (None, None))
        if answer is not None and not answer.done():
            answer.set_result(message)

    def said(self, message: PackMessage) -> PackMessageSent | None:
        """What a handler tells a client, for sockets of whoever asked it: an engine does not say whose they are."""
        owner = self._askers.get(message.request_id)
        if owner is None:
            return None
        client = ClientId(message.client_id) if message.client_id else None
        return PackMessageSent(owner, client, message.name, message.data)

    def lost(self, slot: SlotId) -> None:
        self._routes.pop(slot, None)
        self._bonds = {owner: bond for owner, bond in self._bonds.items() if bond.slot != slot}
        for asked, answer in self._asked.values():
            if asked == slot and not answer.done():
                answer.set_exception(NoResponse("The worker that answers for this node pack has ended"))

    def _choose(self, owner_id: UserId, slots: Collection[SlotId]) -> SlotId:
        """The owner's own slot; else one that few are bound to, so that not all wait for the first."""
        bonds = self.bonds()
        if (bound := bonds.get(owner_id)) in slots and bound is not None:
            return bound
        counts = Counter(bonds.values())
        return min(slots, key=lambda slot: (counts[slot], not self._is_idle(slot)))

    def _find(self, slot: SlotId, method: str, path: str) -> _Route | None:
        wanted = {method, "*"} | ({"GET"} if method == "HEAD" else set())
        for route in self._routes.get(slot, ()):
            if route.method in wanted and route.pattern.fullmatch(path):
                return route
        return None
