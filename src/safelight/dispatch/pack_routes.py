"""Which routes node packs have, and asking an engine for the answer of one."""

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence

from safelight.core.errors import Unavailable
from safelight.core.ids import UserId
from safelight.core.worker import SlotId
from safelight.dispatch.backend import Backend
from safelight.wire.messages import PackAnswer, PackRequest, PackRoute

ANSWER_S = 65.0
"""A little longer than the engine itself gives a pack."""


class NoAnswer(Unavailable):
    code = "node_pack_unavailable"


class PackRoutes:
    """Mutable: the routes of each engine that is ready, and the questions that are out. Event loop's thread only."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._routes: dict[SlotId, list[tuple[str, re.Pattern[str]]]] = {}
        self._asked: dict[int, tuple[SlotId, asyncio.Future[PackAnswer]]] = {}
        self._last = secrets.randbits(48)  # an engine may be yet to answer what another server asked

    def ready(self, slot: SlotId, routes: Sequence[PackRoute]) -> None:
        self._routes[slot] = [(route.method, re.compile(route.pattern)) for route in routes]

    def has(self, method: str, path: str) -> bool:
        """``path`` is decoded, without its query."""
        return self._slot_for(method, path) is not None

    async def ask(
        self,
        owner_id: UserId,
        *,
        method: str,
        path: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> PackAnswer:
        """``target``: the path as it was written, with its query. Raises :class:`NoAnswer`."""
        slot = self._slot_for(method, path)
        if slot is None:
            raise NoAnswer("The worker that answers for this node pack is not there")
        self._last += 1
        number, answer = self._last, asyncio.get_running_loop().create_future()
        self._asked[number] = (slot, answer)
        named = [(name, value) for name, value in headers.items()]
        named.append(("comfy-user", owner_id))
        message = PackRequest(request_id=number, method=method, path=target, headers=named, body=body)
        self._backend.send(slot, message)
        try:
            return await asyncio.wait_for(answer, ANSWER_S)
        except TimeoutError:
            raise NoAnswer("The node pack did not answer in time") from None
        finally:
            del self._asked[number]

    def answered(self, message: PackAnswer) -> None:
        _, answer = self._asked.get(message.request_id, (None, None))
        if answer is not None and not answer.done():
            answer.set_result(message)

    def lost(self, slot: SlotId) -> None:
        self._routes.pop(slot, None)
        for asked, answer in self._asked.values():
            if asked == slot and not answer.done():
                answer.set_exception(NoAnswer("The worker that answers for this node pack has ended"))

    def _slot_for(self, method: str, path: str) -> SlotId | None:
        """The first slot, so that a pack which keeps something in its module meets it again."""
        wanted = {method, "*"} | ({"GET"} if method == "HEAD" else set())
        for slot in self._backend.slots:
            for offered, pattern in self._routes.get(slot, ()):
                if offered in wanted and pattern.fullmatch(path):
                    return slot
        return None
