"""Which slot handles requests to a node pack, and which owners' jobs are bound to it."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from safelight.core.event import PackMessageSent
from safelight.core.ids import UserId
from safelight.core.worker import SlotId
from safelight.dispatch.pack_requests import BOUND_S, NoResponse, PackRoutes
from safelight.wire.messages import PackMessage, PackRequest, PackResponse, PackRoute

pytestmark = pytest.mark.anyio

ANNA, BEN, CAT = UserId("anna"), UserId("ben"), UserId("cat")
ROUTES = [
    PackRoute(method="PUT", pattern="/memory/[^/]+", pack="memory"),
    PackRoute(method="GET", pattern="/memory/[^/]+", pack="memory"),
]


class Clock:
    """Mutable: the time."""

    now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s


class Memories:
    """A backend whose engines each keep their own values. Mutable: the values, and the slots that got requests."""

    def __init__(self, *names: str) -> None:
        self.slots = tuple(map(SlotId, names))
        self.kept: dict[SlotId, dict[str, bytes]] = {slot: {} for slot in self.slots}
        self.asked: list[tuple[str, SlotId]] = []
        self.last_id = 0
        self.routes: PackRoutes

    def send(self, slot: SlotId, message: Any) -> None:
        assert isinstance(message, PackRequest)
        self.asked.append((message.method, slot))
        self.last_id = message.request_id
        kept = self.kept[slot]
        status, body = 200, b""
        if message.method == "PUT":
            kept[message.path] = message.body
        elif message.path in kept:
            body = kept[message.path]
        else:
            status = 404
        answer = PackResponse(request_id=message.request_id, status=status, body=body)
        asyncio.get_running_loop().call_soon(self.routes.answered, answer)


def at(*names: str, busy: Iterable[str] = (), clock: Clock | None = None) -> tuple[Memories, PackRoutes]:
    backend = Memories(*names)
    routes = PackRoutes(backend, clock=clock or Clock(), is_idle=lambda slot: slot not in busy)  # type: ignore[arg-type]
    backend.routes = routes
    for slot in backend.slots:
        routes.ready(slot, ROUTES)
    return backend, routes


async def ask(routes: PackRoutes, who: UserId, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    answer = await routes.request(who, method=method, path=path, target=path, headers={}, body=body)
    return answer.status, answer.body


def test_a_route_names_its_pack() -> None:
    _, routes = at("a")
    assert routes.pack_of("GET", "/memory/1") == "memory"
    assert routes.pack_of("HEAD", "/memory/1") == "memory"
    assert routes.pack_of("POST", "/memory/1") is None
    assert routes.pack_of("GET", "/other") is None


async def test_a_write_binds_the_owner_to_the_slot() -> None:
    backend, routes = at("a", "b")
    assert (await ask(routes, ANNA, "PUT", "/memory/1", b"picture"))[0] == 200
    slot = routes.bindings()[ANNA]
    assert (await ask(routes, ANNA, "PUT", "/memory/2", b"mask"))[0] == 200
    assert backend.kept[slot] == {"/memory/1": b"picture", "/memory/2": b"mask"}
    assert await ask(routes, ANNA, "GET", "/memory/1") == (200, b"picture")
    assert {asked for _, asked in backend.asked} == {slot}


async def test_a_read_binds_no_owner_and_finds_data_of_any_slot() -> None:
    """The picture of a job is in the memory of the slot that ran it."""
    backend, routes = at("a", "b", "c")
    backend.kept[SlotId("c")]["/memory/made"] = b"by a job"
    assert await ask(routes, ANNA, "GET", "/memory/made") == (200, b"by a job")
    assert await ask(routes, ANNA, "GET", "/memory/never") == (404, b"")
    assert routes.bindings() == {}


async def test_owners_are_spread_over_slots() -> None:
    _, routes = at("a", "b", busy=["a"])
    for who in (ANNA, BEN, CAT):
        await ask(routes, who, "PUT", "/memory/1")
    assert [routes.bindings()[who] for who in (ANNA, BEN, CAT)] == ["b", "a", "b"]


async def test_a_binding_ends_with_its_engine_or_after_a_while() -> None:
    clock = Clock()
    _, routes = at("a", "b", clock=clock)
    await ask(routes, ANNA, "PUT", "/memory/1")
    clock.now_s = BOUND_S - 1
    await ask(routes, ANNA, "GET", "/memory/1")
    clock.now_s = 2 * BOUND_S - 2
    assert ANNA in routes.bindings()
    clock.now_s = 2 * BOUND_S
    assert routes.bindings() == {}
    await ask(routes, ANNA, "PUT", "/memory/1")
    routes.lost(SlotId("a"))
    assert routes.bindings() == {}
    routes.lost(SlotId("b"))
    with pytest.raises(NoResponse):
        await ask(routes, ANNA, "GET", "/memory/1")


async def test_a_route_is_known_while_its_engine_restarts() -> None:
    _, routes = at("a")
    assert routes.pack_of("GET", "/memory/1") is not None
    routes.lost(SlotId("a"))
    assert routes.pack_of("GET", "/memory/1") is not None
    with pytest.raises(NoResponse, match="is starting"):
        await ask(routes, ANNA, "GET", "/memory/1")
    routes.ready(SlotId("a"), [])
    assert routes.pack_of("GET", "/memory/1") is None


async def test_messages_of_a_handler_go_to_the_sender_of_the_request() -> None:
    """The engine refers to a request, never to a user."""
    backend, routes = at("a")
    await ask(routes, ANNA, "GET", "/memory/1")
    number = backend.last_id
    said = PackMessage(request_id=number, name="pack.event", data={"a": 1}, client_id="tab")
    assert routes.message_event(said) == PackMessageSent(ANNA, "tab", "pack.event", {"a": 1})  # type: ignore[arg-type]
    assert routes.message_event(PackMessage(request_id=number, name="x", data=None)) == PackMessageSent(
        ANNA, None, "x", None
    )
    assert routes.message_event(PackMessage(request_id=number + 1, name="x", data=None)) is None
    assert backend.asked == [("GET", "a")]
