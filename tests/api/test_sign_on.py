"""Signing in at an identity provider: a real one in a process of its own, and one that sends what it should not."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from tests.api.accounts import add_key
from tests.api.client import Answer
from tests.api.conftest import Server, running
from tests.api.identity_providers import (
    KEY,
    STRANGER,
    ScriptedProvider,
    agree,
    real_provider,
    scripted_provider,
    set_claims,
)

from safelight.settings import Settings

pytestmark = pytest.mark.anyio

SESSION, LOGIN, CALLBACK = "/api/auth/session", "/api/auth/oidc/login", "/api/auth/oidc/callback"
HOST = {"host": "127.0.0.1:8188"}
RULES: dict[str, Any] = {
    "oidc_client_id": "safelight",
    "oidc_client_secret": "secret",
    "oidc_allowed_groups": ("students", "teachers"),
    "oidc_admin_groups": ("teachers",),
    "oidc_quotas": ("students running_jobs=1 device_s=7200",),
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with real_provider() as found:
        yield found


@asynccontextmanager
async def server_of(tmp_path: Path, settings: Settings, migrated: Path, issuer: str) -> AsyncIterator[Server]:
    async with running(tmp_path, settings.changed(oidc_issuer=issuer, **RULES), migrated) as server:
        yield server


def cookie_of(answer: Answer) -> str:
    return answer.headers["set-cookie"].split(";")[0]


async def begin(server: Server) -> tuple[str, str]:
    """The provider's address, and the cookie of the attempt."""
    sent = await server.client.get(LOGIN)
    assert sent.status == 303
    return sent.headers["location"], cookie_of(sent)


async def sign_in(server: Server, subject: str) -> Answer:
    address, cookie = await begin(server)
    back = urlsplit(agree(address, subject))
    assert back.path == CALLBACK
    return await server.client.get(f"{CALLBACK}?{back.query}", {"cookie": cookie, **HOST})


async def session_of(server: Server, cookie: str) -> Any:
    return (await server.client.get(SESSION, {"cookie": cookie, **HOST})).json["user"]


async def test_a_new_user_signs_in_with_the_rights_and_limits_of_their_groups(
    tmp_path: Path, settings: Settings, migrated: Path, issuer: str
) -> None:
    set_claims(issuer, "anna-1", preferred_username="Anna", groups=["/students"])
    set_claims(issuer, "tom-1", preferred_username="tom", groups=["teachers"])
    async with server_of(tmp_path, settings, migrated, issuer) as server:
        address, _ = await begin(server)
        asked = dict(parse_qsl(urlsplit(address).query))
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        anna = await sign_in(server, "anna-1")
        assert anna.headers["location"] == "http://127.0.0.1:8188/"
        assert await session_of(server, cookie_of(anna)) | {"id": ""} == {"id": "", "name": "anna", "is_admin": False}
        own = (await server.client.get("/api/account", {"cookie": cookie_of(anna), **HOST})).json
        assert (own["limits"]["running_jobs"], own["limits"]["device_s"]) == (1, 7200)
        tom = cookie_of(await sign_in(server, "tom-1"))
        assert (await session_of(server, tom))["is_admin"]
        audit = (await server.client.get("/api/admin/audit?action=user.first_sign_on", {"cookie": tom, **HOST})).json
        assert {entry["subject"] for entry in audit["entries"]} == {"anna", "tom"}
        out = await server.client.request("DELETE", SESSION, headers={"cookie": tom, **HOST})
        assert out.json["sign_out_url"].startswith(f"{issuer}/oauth2/end_session?id_token_hint=")
        assert await session_of(server, tom) is None


async def test_who_left_a_group_loses_its_rights_and_open_socket(
    tmp_path: Path, settings: Settings, migrated: Path, issuer: str
) -> None:
    set_claims(issuer, "eve-1", preferred_username="eve", groups=["teachers"])
    async with server_of(tmp_path, settings, migrated, issuer) as server:
        first = cookie_of(await sign_in(server, "eve-1"))
        socket = await server.client.connect("/ws", {"cookie": first, **HOST})
        assert socket.status == 101
        set_claims(issuer, "eve-1", preferred_username="eve", groups=["students"])
        second = cookie_of(await sign_in(server, "eve-1"))
        await socket.ended()
        assert not (await session_of(server, second))["is_admin"]
        assert await session_of(server, first) is None
        refused = await server.client.get("/api/admin/users", {"cookie": second, **HOST})
        assert refused.status == 403

        key = await add_key(server, "eve")
        set_claims(issuer, "eve-1", preferred_username="eve", groups=["alumni"])
        third = await sign_in(server, "eve-1")
        assert third.headers["location"].endswith("/login#sign-on=group")
        assert await session_of(server, second) is None
        assert (await server.client.get("/api/account", {"x-api-key": key})).status == 401


async def test_a_code_and_an_answer_count_once_and_for_one_browser(
    tmp_path: Path, settings: Settings, migrated: Path, issuer: str
) -> None:
    set_claims(issuer, "anna-1", preferred_username="anna", groups=["students"])
    async with server_of(tmp_path, settings, migrated, issuer) as server:
        address, cookie = await begin(server)
        query = urlsplit(agree(address, "anna-1")).query
        _, other = await begin(server)
        for wrong in ({}, {"cookie": other}, {"cookie": "sign_on=bm9uc2Vuc2U"}):
            refused = await server.client.get(f"{CALLBACK}?{query}", {**wrong, **HOST})
            assert refused.headers["location"].endswith("/login#sign-on=expired")
        first = await server.client.get(f"{CALLBACK}?{query}", {"cookie": cookie, **HOST})
        assert cookie_of(first).startswith("session=")
        again = await server.client.get(f"{CALLBACK}?{query}", {"cookie": cookie, **HOST})
        assert again.headers["location"].endswith("/login#sign-on=refused")


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with scripted_provider() as found:
        yield found


async def answered(server: Server, provider: ScriptedProvider, **more: str) -> Answer:
    address, cookie = await begin(server)
    asked = dict(parse_qsl(urlsplit(address).query))
    provider.nonce = provider.nonce or asked["nonce"]
    query = urlencode({"code": "c", "state": asked["state"], **more})
    answer = await server.client.get(f"{CALLBACK}?{query}", {"cookie": cookie, **HOST})
    attempt = json.loads(base64.urlsafe_b64decode(cookie.partition("=")[2].strip('"')))
    if provider.asked:
        assert provider.asked[-1]["code_verifier"] == attempt["verifier"]
    return answer


async def test_a_right_answer_of_the_scripted_provider_is_accepted(
    tmp_path: Path, settings: Settings, migrated: Path, provider: ScriptedProvider
) -> None:
    provider.claims = {"groups": "students", "preferred_username": "anna"}
    async with server_of(tmp_path, settings, migrated, provider.url) as server:
        assert cookie_of(await answered(server, provider, iss=provider.url)).startswith("session=")


@pytest.mark.parametrize(
    "wrong",
    [
        {"claims": {"iss": "https://foreign.example"}},
        {"claims": {"aud": "another-client"}},
        {"claims": {"aud": ["safelight", "other"], "azp": "other"}},
        {"claims": {"exp": 1_000_000_000}},
        {"claims": {"exp": None}},
        {"claims": {"sub": None}},
        {"claims": {"sub": ""}},
        {"claims": {"nonce": None}},
        {"claims": {"at_hash": "bm90IHRoZSBoYXNo"}},
        {"nonce": "of-an-earlier-sign-on"},
        {"key": STRANGER},
        {"key": None},
        {"headers": {"kid": "unknown"}},
    ],
    ids=(
        "another issuer",
        "another client",
        "another party",
        "expired",
        "no end",
        "no subject",
        "an empty subject",
        "no nonce",
        "another access token",
        "replayed",
        "a foreign key",
        "unsigned",
        "an unknown key",
    ),
)
async def test_replayed_foreign_expired_and_unsigned_tokens_are_refused(
    tmp_path: Path, settings: Settings, migrated: Path, provider: ScriptedProvider, wrong: dict[str, Any]
) -> None:
    provider.claims = {"groups": "students"} | wrong.get("claims", {})
    provider.headers = wrong.get("headers", {})
    provider.key = wrong.get("key", KEY)
    provider.nonce = wrong.get("nonce", "")
    async with server_of(tmp_path, settings, migrated, provider.url) as server:
        refused = await answered(server, provider)
        assert refused.headers["location"].endswith("/login#sign-on=invalid")
        assert not cookie_of(refused).startswith("session=")


async def test_an_answer_of_another_provider_is_refused(
    tmp_path: Path, settings: Settings, migrated: Path, provider: ScriptedProvider
) -> None:
    async with server_of(tmp_path, settings, migrated, provider.url) as server:
        refused = await answered(server, provider, iss="https://mix-up.example")
        assert refused.headers["location"].endswith("/login#sign-on=invalid")
        assert provider.asked == []


async def test_signing_out_at_the_provider_ends_the_sessions_here(
    tmp_path: Path, settings: Settings, migrated: Path, provider: ScriptedProvider
) -> None:
    provider.claims = {"groups": "students"}
    events = {"http://schemas.openid.net/event/backchannel-logout": {}}
    async with server_of(tmp_path, settings, migrated, provider.url) as server:
        session = cookie_of(await answered(server, provider))
        for wrong in ({"jti": "1"}, {"jti": "1", "events": events}, {"nonce": None, "jti": "1", "events": {}}):
            assert (await sign_out(server, provider.token(**wrong))).status == 400
        assert await session_of(server, session) is not None
        assert (await sign_out(server, provider.token(nonce=None, jti="1", events=events))).status == 204
        assert await session_of(server, session) is None


async def sign_out(server: Server, token: str) -> Answer:
    body = urlencode({"logout_token": token}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return await server.client.request("POST", "/api/auth/oidc/logout", body, headers=headers)


async def test_a_sign_in_proxy_sends_a_signed_token_with_every_request(
    tmp_path: Path, settings: Settings, migrated: Path, provider: ScriptedProvider
) -> None:
    behind_a_proxy = settings.changed(
        jwt_issuer=provider.url,
        jwt_audience="safelight",
        jwt_jwks_url=f"{provider.url}/keys",
        jwt_header="X-Signed-User",
        jwt_create_users=True,
        accounts=True,
    )
    async with running(tmp_path, behind_a_proxy, migrated) as server:
        provider.claims = {"email": "anna@school.example", "email_verified": True}
        own = await server.client.get("/api/account", {"x-signed-user": provider.token()})
        assert own.json["name"] == "anna@school.example"
        provider.key = STRANGER
        assert (await server.client.get("/api/account", {"x-signed-user": provider.token()})).status == 401
        assert (await server.client.get("/api/account", {"x-signed-user": "anna@school.example"})).status == 401
