"""Which host names the server answers to, which pages may use it, and which proxies it trusts."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest
from tests.api.accounts import PASSWORD, add_key, add_user, signed_in
from tests.api.client import Client
from tests.api.conftest import Server, running, settings_of

from safelight.settings import Settings

pytestmark = pytest.mark.anyio

OURS = {"host": "127.0.0.1:8188"}
VISIT = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@asynccontextmanager
async def serving(tmp_path: Path, migrated: Path, settings: Settings, **changes: Any) -> AsyncIterator[Server]:
    async with running(tmp_path, settings.changed(**changes), migrated) as server:
        yield server


async def statuses(client: Client, headers: Mapping[str, str]) -> tuple[int, int, int, int]:
    """The statuses of a read, a write, the web UI's page and a WebSocket."""
    socket = await client.connect("/ws", headers)
    if socket.status == 101:
        await socket.close()
    read = await client.get("/api/settings", headers)
    changed = await client.post("/api/settings", {}, headers=headers)
    return read.status, changed.status, (await client.get("/", headers)).status, socket.status


ALL, NONE = (200, 200, 200, 101), (403, 403, 403, 403)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ALL),
        ({"origin": "http://127.0.0.1:8188"}, ALL),
        ({"origin": "https://127.0.0.1:8188"}, ALL),  # a proxy may end TLS
        ({"origin": "null"}, NONE),
        ({"origin": "http://evil.example"}, NONE),
        ({"origin": "http://127.0.0.1:3000"}, NONE),
        ({"origin": "http://[::1"}, NONE),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, ALL),
        ({"sec-fetch-site": "none", **VISIT}, ALL),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, NONE),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, NONE),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, NONE),
        ({"sec-fetch-site": "cross-site", **VISIT}, (200, 403, 200, 403)),
        ({"origin": "null", "sec-fetch-site": "cross-site", **VISIT}, (200, 403, 200, 403)),
    ],
)
async def test_pages(client: Client, headers: Mapping[str, str], expected: tuple[int, ...]) -> None:
    assert await statuses(client, headers) == expected


@pytest.mark.parametrize("host", ["localhost:8188", "safelight.localhost", "[::1]:8188", "127.0.0.2", "LOCALHOST."])
async def test_names_of_a_server_on_loopback(client: Client, host: str) -> None:
    assert await statuses(client, {"host": host}) == ALL


@pytest.mark.parametrize(
    "host", ["evil.example:8188", "192.168.1.5:8188", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", "@"]
)
async def test_names_that_are_not_its_own(client: Client, host: str) -> None:
    """DNS rebinding: ``Host`` and ``Origin`` match each other, and neither is a name of the server."""
    assert await statuses(client, {"host": host}) == NONE
    assert await statuses(client, {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}) == NONE


async def test_an_open_server_beyond_loopback_answers_to_what_cannot_be_rebound(
    tmp_path: Path, migrated: Path, settings: Settings
) -> None:
    async with serving(
        tmp_path, migrated, settings, host="0.0.0.0", insecure=True, allowed_hosts=("Studio.lan",)
    ) as server:
        for host in ("192.168.1.5:8188", "[fd00::1]", "studio.lan:8188", "studio.lan.", gethostname(), "localhost"):
            assert await statuses(server.client, {"host": host}) == ALL, host
        for host in ("evil.example", "a.studio.lan", "studio.lan.evil.example"):
            assert await statuses(server.client, {"host": host}) == NONE, host


async def test_any_name_where_that_is_said(tmp_path: Path, migrated: Path, settings: Settings) -> None:
    async with serving(tmp_path, migrated, settings, allowed_hosts=("*",)) as server:
        assert await statuses(server.client, {"host": "whatever.example"}) == ALL
        assert await statuses(server.client, {"host": "a.example", "origin": "http://b.example"}) == NONE


async def test_a_server_with_accounts_answers_to_every_name_until_names_are_listed(
    tmp_path: Path, migrated: Path, settings: Settings
) -> None:
    async with serving(tmp_path, migrated, settings) as server:
        _, anna = await signed_in(server, "anna")
        assert await statuses(server.client, {**anna, "host": "a.example"}) == ALL
        assert (await server.client.get("/api/settings", {"host": "a.example"})).status == 401
    listed = tmp_path / "listed"
    listed.mkdir()
    async with serving(listed, migrated, settings_of(listed), public_url="https://pictures.example") as server:
        _, anna = await signed_in(server, "anna")
        assert await statuses(server.client, {**anna, "host": "a.example"}) == NONE
        for headers in ({"host": "pictures.example"}, {"host": "10.0.0.3:8188"}):
            assert await statuses(server.client, {**anna, **headers}) == ALL


async def test_the_public_address_is_an_origin_of_ours_whatever_the_proxy_does_to_the_host(
    tmp_path: Path, migrated: Path, settings: Settings
) -> None:
    async with serving(tmp_path, migrated, settings, public_url="https://pictures.example") as server:
        assert await statuses(server.client, {"origin": "https://pictures.example"}) == ALL
        for origin in ("http://pictures.example", "https://pictures.example:444", "https://evil.example"):
            assert await statuses(server.client, {"origin": origin}) == NONE


@pytest.mark.parametrize(
    ("peer", "proto", "public_url", "is_secure"),
    [
        ("10.1.2.3", "https", "", True),
        ("10.1.2.3", "http", "", False),
        ("10.1.2.3", "http, https", "", True),
        ("::ffff:10.1.2.3", "https", "", True),
        ("192.0.2.1", "https", "", False),
        ("192.0.2.1", "http", "https://pictures.example", True),
    ],
)
async def test_cookies_are_secure_where_the_browser_speaks_tls(
    tmp_path: Path, migrated: Path, settings: Settings, peer: str, proto: str, public_url: str, is_secure: bool
) -> None:
    async with serving(tmp_path, migrated, settings, trusted_proxies=("10.0.0.0/8",), public_url=public_url) as server:
        await add_user(server, "anna", password=True)
        client = Client(server.app, peer=peer)
        body = {"name": "anna", "password": PASSWORD}
        answer = await client.post("/api/auth/session", body, headers={"x-forwarded-proto": proto})
        words = {word.strip().lower() for word in answer.headers["set-cookie"].split(";")}
        assert {"httponly", "samesite=lax"} < words
        assert ("secure" in words) == is_secure


async def test_forwarded_hosts_are_believed_of_proxies_alone(
    tmp_path: Path, migrated: Path, settings: Settings
) -> None:
    said = {"host": "127.0.0.1:8188", "x-forwarded-host": "pictures.example", "origin": "https://pictures.example"}
    async with serving(
        tmp_path, migrated, settings, trusted_proxies=("10.1.2.3",), allowed_hosts=("pictures.example",)
    ) as server:
        assert (await Client(server.app, peer="10.1.2.3").get("/api/settings", said)).status == 200
        assert (await Client(server.app, peer="10.1.2.4").get("/api/settings", said)).status == 403


async def test_limits_of_signing_in_count_the_client_and_not_what_it_says_of_itself(
    tmp_path: Path, migrated: Path, settings: Settings
) -> None:
    async with serving(tmp_path, migrated, settings, trusted_proxies=("10.0.0.0/8",)) as server:
        await add_user(server, "anna", password=True)

        async def tries(peer: str, *addresses: str) -> int:
            headers = {"x-forwarded-for": ", ".join(addresses)} if addresses else {}
            body = {"name": "anna", "password": "wrong"}
            return (await Client(server.app, peer=peer).post("/api/auth/session", body, headers=headers)).status

        for number in range(10):
            assert await tries("10.0.0.1", f"203.0.113.{number}", "198.51.100.7", "10.0.0.9") == 401
        assert await tries("10.0.0.2", "198.51.100.7") == 429
        assert await tries("198.51.100.7", "203.0.113.99") == 429
        assert await tries("10.0.0.1", "198.51.100.8") == 401
        assert await tries("10.0.0.1", "198.51.100.7", "nonsense") == 401  # the proxy's own address then


APP = "https://app.example.org"


@pytest.fixture
async def allowing(tmp_path: Path, migrated: Path, settings: Settings) -> AsyncIterator[Server]:
    async with serving(tmp_path, migrated, settings, allowed_origins=(APP,)) as server:
        yield server


async def test_an_allowed_page_may_call_and_others_may_not(allowing: Server) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "content-type, x-api-key"}
    answer = await allowing.client.request("OPTIONS", "/api/prompt", headers={"origin": APP, **asks})
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["access-control-allow-headers"] == "content-type, x-api-key"
    assert "access-control-allow-credentials" not in answer.headers
    called = {"origin": APP, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
    for path in ("/api/jobs", "/queue", "/openapi.json", "/api/jobs/none"):
        answer = await allowing.client.get(path, called)
        assert answer.status in (200, 404)
        assert answer.headers["access-control-allow-origin"] == APP
        assert answer.headers["vary"] == "Origin"
    for origin in ("https://evil.example", "http://app.example.org", f"{APP}.evil.example", "null"):
        refused = await allowing.client.request("OPTIONS", "/api/prompt", headers={"origin": origin, **asks})
        assert refused.status == 403
        assert "access-control-allow-origin" not in refused.headers


async def test_an_allowed_page_acts_by_its_key_and_never_by_a_session(allowing: Server) -> None:
    await add_user(allowing, "anna", password=True)
    signed = await allowing.client.post("/api/auth/session", {"name": "anna", "password": PASSWORD})
    cookie = {"cookie": signed.headers["set-cookie"].partition(";")[0]}
    assert (await allowing.client.get("/api/jobs", cookie)).status == 200
    assert (await allowing.client.get("/api/jobs", cookie | {"origin": APP})).status == 401
    key = {"x-api-key": await add_key(allowing, "anna")}
    assert (await allowing.client.get("/api/jobs", key | {"origin": APP})).status == 200


async def test_an_allowed_page_may_show_files(allowing: Server) -> None:
    await allowing.client.upload("/api/upload/image", {}, image=("a.png", b"\x89PNG"))
    shown = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    url = "/api/view?filename=a.png&type=input"
    answer = await allowing.client.get(url, shown | {"referer": f"{APP}/"})
    assert answer.status == 200
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert (await allowing.client.get(url, shown | {"referer": "https://evil.example/"})).status == 403
    assert (await allowing.client.get(url, shown)).status == 403


async def test_a_page_of_another_origin_may_open_a_socket(allowing: Server) -> None:
    socket = await allowing.client.connect("/ws?clientId=a", headers={"origin": APP})
    await socket.hear_until("status")
    await socket.close()


async def test_the_token_in_an_address_is_a_credential_everywhere(client: Client, server: Server) -> None:
    await add_user(server, "anna")
    key = await add_key(server, "anna")
    await client.upload("/api/upload/image", {}, image=("a.png", b"\x89PNG"), headers={"x-api-key": key})
    url = "/api/view?filename=a.png&type=input"
    assert (await client.get(url)).status == 401
    assert (await client.get(f"{url}&token={key}")).status == 200
    assert (await client.get(f"{url}&token=wrong")).status == 401
    assert (await client.post(f"/api/prompt?token={key}", {"prompt": {}})).status == 400


async def test_answers_are_private_and_taken_for_what_they_say(client: Client) -> None:
    for path in ("/api/jobs", "/api/settings", "/api/nothing", "/api/jobs/none", "/queue", "/api/users"):
        answer = await client.get(path)
        assert "no-store" in answer.headers["cache-control"], path
        assert answer.headers["x-content-type-options"] == "nosniff", path
