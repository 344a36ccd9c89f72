"""Routes of node packs: who may use them, how large a body may be, and which sockets receive their messages."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import msgspec
import pytest
from tests.api.accounts import signed_in
from tests.api.conftest import Server, running
from tests.api.engine import READY

from safelight.settings import Settings
from safelight.wire.messages import PackMessage, PackRequest, PackResponse, PackRoute, ToEngine, ToServer

pytestmark = pytest.mark.anyio

ROUTES = [
    PackRoute(method=method, pattern=f"/{pack}/x", pack=pack)
    for pack in ("plain", "open", "guarded", "closed")
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
]


class Packs:
    """An engine whose packs return the request. Mutable: the requests."""

    def __init__(self) -> None:
        self.asked: list[PackRequest] = []

    def __call__(self, message: ToEngine) -> Iterable[ToServer]:
        if isinstance(message, PackRequest):
            self.asked.append(message)
            for client_id in ("tab", ""):
                yield PackMessage(request_id=message.request_id, name="pack.event", data=client_id, client_id=client_id)
            yield PackResponse(request_id=message.request_id, status=200, body=message.path.encode())


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.changed(
        pack_routes=("guarded=admin", "closed=off"), pack_routes_changed_by_users=("open", "guarded")
    )


@pytest.fixture
async def server(tmp_path: Path, settings: Settings, migrated: Path) -> AsyncIterator[Server]:
    async with running(tmp_path, settings, migrated) as server:
        await server.client.get("/object_info")  # waits for the engine
        ready = msgspec.structs.replace(READY, routes=ROUTES)
        server.backend.say(server.backend.slots[0], ready)
        server.backend._script = Packs()
        yield server


def packs_of(server: Server) -> Packs:
    assert isinstance(server.backend._script, Packs)
    return server.backend._script


@pytest.mark.parametrize(
    ("pack", "method", "user", "admin"),
    [
        ("plain", "GET", 200, 200),
        *(("plain", method, 403, 200) for method in ("POST", "PUT", "PATCH", "DELETE")),
        *(("open", method, 200, 200) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
        *(("guarded", method, 403, 200) for method in ("GET", "POST")),
    ],
)
async def test_who_may_call_a_route(server: Server, pack: str, method: str, user: int, admin: int) -> None:
    _, boss = await signed_in(server, "boss", is_admin=True)
    _, anna = await signed_in(server, "anna")
    assert (await server.client.request(method, f"/{pack}/x")).status == 401
    assert (await server.client.request(method, f"/{pack}/x", headers=anna)).status == user
    assert len(packs_of(server).asked) == (user == 200), "a pack hears nothing of what is refused"
    assert (await server.client.request(method, f"/{pack}/x", headers=boss)).status == admin


async def test_the_only_user_of_a_server_without_accounts_may_do_everything(server: Server) -> None:
    for pack in ("plain", "guarded"):
        assert (await server.client.request("POST", f"/{pack}/x", b"{}")).status == 200


async def test_a_route_that_is_off_is_none(server: Server) -> None:
    answer = await server.client.get("/closed/x")
    assert answer.text == "the web UI's /closed/x"
    assert packs_of(server).asked == []


async def test_bodies_obey_the_limit_of_uploads(server: Server) -> None:
    assert (await server.client.request("POST", "/plain/x", b"x" * 50_000)).status == 200
    assert len(packs_of(server).asked[0].body) == 50_000
    assert (await server.client.request("POST", "/plain/x", b"x" * 50_001)).status == 413
    assert len(packs_of(server).asked) == 1


async def test_a_client_cannot_name_the_request_whose_words_are_told(server: Server) -> None:
    await server.client.request("POST", "/plain/x", b"", headers={"Safelight-Request": "1", "Comfy-User": "anna"})
    [asked] = packs_of(server).asked
    assert [value for name, value in asked.headers if name.lower() == "safelight-request"] == []
    assert [value for name, value in asked.headers if name.lower() == "comfy-user"] == ["local"]


async def test_what_a_route_says_reaches_its_callers_sockets_alone(server: Server) -> None:
    _, anna = await signed_in(server, "anna")
    _, ben = await signed_in(server, "ben")
    sockets = {
        (who, tab): await server.client.connect(f"/ws?clientId={tab}", dict(headers))
        for who, headers in (("anna", anna), ("ben", ben))
        for tab in ("tab", "other")
    }
    for socket in sockets.values():
        await socket.hear()
    assert (await server.client.get("/plain/x", headers=anna)).status == 200
    heard = {
        key: [m["data"] for m in socket.heard_so_far() if m["type"] == "pack.event"] for key, socket in sockets.items()
    }
    assert heard == {("anna", "tab"): ["tab", ""], ("anna", "other"): [""], ("ben", "tab"): [], ("ben", "other"): []}


async def test_every_user_sees_which_packs_could_not_be_loaded(server: Server) -> None:
    _, anna = await signed_in(server, "anna")
    failed = {"broken": "ModuleNotFoundError: No module named 'cv2'", "half: Node": "OSError: /srv/secret"}
    server.backend.say(server.backend.slots[0], msgspec.structs.replace(READY, failed_packs=failed))
    assert (await server.client.get("/api/account/packs")).status == 401
    shown = (await server.client.get("/api/account/packs", headers=anna)).json["packs"]
    assert shown == [
        {
            "name": "broken",
            "nodes": 0,
            "failures": [{"subject": "broken", "reason": "the library 'cv2' is not installed"}],
        },
        {
            "name": "half",
            "nodes": 0,
            "failures": [{"subject": "half: Node", "reason": "an error, which administrators see"}],
        },
    ]
    assert (await server.client.get("/api/admin/packs", headers=anna)).status == 403
