"""Signing in with a password, the cookie, signing out, and the first account."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.api.accounts import PASSWORD, add_user
from tests.api.client import Answer, Client
from tests.api.conftest import Server

from safelight.api.sign_in import WRONG_PER_ADDRESS, WRONG_PER_NAME
from safelight.core.clock import SystemClock
from safelight.services import session, user
from safelight.services.password import is_password

pytestmark = pytest.mark.anyio


async def sign_in(client: Client, name: str = "anna", password: str = PASSWORD, **headers: str) -> Answer:
    return await client.post("/api/auth/session", {"name": name, "password": password}, headers=headers)


def cookie(answer: Answer) -> Mapping[str, str]:
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}


async def test_a_password_opens_a_session(server: Server) -> None:
    account = await add_user(server, "anna", password=True)
    answer = await sign_in(server.client, " Anna ")
    assert (answer.status, answer.json) == (201, {"user": {"id": account.user_id, "name": "anna", "is_admin": False}})
    words = answer.headers["set-cookie"].lower()
    assert "httponly" in words
    assert "samesite=lax" in words
    assert "path=/" in words
    assert "secure" not in words
    for path in ("/api/user", "/api/jobs"):
        assert (await server.client.get(path, headers=cookie(answer))).status == 200
    socket = await server.client.connect(headers=cookie(answer))
    assert socket.status == 101
    await socket.close()
    seen = await server.client.get("/api/auth/session", headers=cookie(answer))
    assert seen.json == {"accounts": True, "user": {"id": account.user_id, "name": "anna", "is_admin": False}}


async def test_each_session_has_a_secret_of_its_own(server: Server) -> None:
    await add_user(server, "anna", password=True)
    first, second = await sign_in(server.client), await sign_in(server.client)
    assert cookie(first) != cookie(second)
    secret = cookie(first)["cookie"].partition("=")[2].encode()
    assert not any(secret in file.read_bytes() for file in server.models_dir.parent.glob("safelight.db*"))


async def test_unknown_disabled_and_wrong_answer_alike(server: Server) -> None:
    await add_user(server, "anna", password=True)
    await add_user(server, "keys")
    await add_user(server, "gone", password=True)
    await server.db.write(lambda tx: user.disable(tx, name="gone", disabled=True, now=SystemClock().now()))
    tries = [("anna", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("keys", PASSWORD), ("local", ""), ("", "")]
    answers = {(await sign_in(server.client, *tried)).body for tried in tries}
    assert answers == {b'{"code":"unauthorized","message":"the name or the password is wrong"}'}


async def test_too_many_wrong_ones_have_to_wait(server: Server) -> None:
    await add_user(server, "anna", password=True)
    for _ in range(WRONG_PER_NAME):
        assert (await sign_in(server.client, password="wrong")).status == 401
    refused = await sign_in(server.client)
    assert (refused.status, refused.json["code"]) == (429, "too_many_attempts")
    assert 0 < int(refused.headers["retry-after"]) <= 301
    assert (await sign_in(server.client, "nobody", "wrong")).status == 401  # another name


async def test_right_ones_do_not_count(server: Server) -> None:
    await add_user(server, "anna", password=True)
    for _ in range(WRONG_PER_NAME + 1):
        assert (await sign_in(server.client)).status == 201


@pytest.mark.parametrize("body", [b"", b"[]", b'{"name":1,"password":"x"}', b'{"name":"anna"}', b"{", b"[" * 500])
async def test_junk(server: Server, body: bytes) -> None:
    assert (await server.client.post("/api/auth/session", body)).status == 400
    assert (await server.client.post("/api/auth/setup", body)).status == 400


async def test_a_foreign_page_cannot_sign_in(server: Server) -> None:
    await add_user(server, "anna", password=True)
    assert (await sign_in(server.client, origin="http://evil.example")).status == 403


async def test_signing_out_ends_the_session_and_its_sockets(server: Server) -> None:
    await add_user(server, "anna", password=True)
    going, staying = cookie(await sign_in(server.client)), cookie(await sign_in(server.client))
    socket = await server.client.connect(headers=going)
    await socket.hear()
    answer = await server.client.request("DELETE", "/api/auth/session", headers=going)
    assert (answer.status, answer.headers["clear-site-data"]) == (204, '"storage"')
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert (await server.client.get("/api/user", headers=going)).status == 401
    with pytest.raises(ConnectionResetError, match="1008"):
        await socket.hear()
    assert (await server.client.get("/api/user", headers=staying)).status == 200
    assert (await server.client.request("DELETE", "/api/auth/session")).status == 204


async def test_a_new_password_ends_sessions(server: Server) -> None:
    await add_user(server, "anna", password=True)
    old = cookie(await sign_in(server.client))
    await server.db.write(lambda tx: user.set_password(tx, name="anna", password_hash="$argon2id$x"))
    assert (await server.client.get("/api/user", headers=old)).status == 401
    assert (await sign_in(server.client)).status == 401


async def test_sessions_run_out(server: Server) -> None:
    account = await add_user(server, "anna")
    begun = SystemClock().now() - session.LIFETIME
    token = await server.db.write(lambda tx: session.start(tx, account.principal, now=begun))
    assert (await server.client.get("/api/user", headers={"cookie": f"session={token}"})).status == 401


async def test_the_web_ui_stands_behind_the_login_page(server: Server) -> None:
    assert (await server.client.get("/")).text == "the web UI's /"
    await add_user(server, "anna", password=True)
    for path in ("/", "/index.html", "/?x=1"):
        answer = await server.client.get(path)
        assert (answer.status, answer.headers["location"]) == (302, "/login")
        assert answer.headers["cache-control"] == "no-store"
    assert (await server.client.get("/assets/app.js")).status == 200
    assert (await server.client.get("/", headers=cookie(await sign_in(server.client)))).text == "the web UI's /"
    for path in ("/api/jobs", "/internal/logs"):
        assert (await server.client.get(path)).status == 401


async def test_the_setup_link_works_once(server: Server) -> None:
    async def set_up(token: str, **changes: Any) -> Answer:
        body = {"token": token, "name": "Anna", "password": PASSWORD, **changes}
        return await server.client.post("/api/auth/setup", body)

    older = await server.db.write(lambda tx: session.offer_setup(tx, now=SystemClock().now()))
    token = await server.db.write(lambda tx: session.offer_setup(tx, now=SystemClock().now()))
    assert [(await set_up(wrong)).status for wrong in (older, "", token[:-1])] == [403, 403, 403]
    assert (await set_up(token, password="short")).status == 400
    assert (await set_up(token, name="a b")).status == 400
    made = await set_up(token)
    assert (made.status, made.json["user"]["name"], made.json["user"]["is_admin"]) == (201, "anna", True)
    assert (await server.client.get("/api/user", headers=cookie(made))).status == 200
    assert (await set_up(token, name="ben")).status == 403
    assert (await sign_in(server.client)).status == 201


async def test_an_unused_link_is_void_once_there_are_accounts(server: Server) -> None:
    token = await server.db.write(lambda tx: session.offer_setup(tx, now=SystemClock().now()))
    await add_user(server, "anna")
    body = {"token": token, "name": "eve", "password": PASSWORD}
    assert (await server.client.post("/api/auth/setup", body)).status == 403


async def test_links_cannot_be_guessed_for_long(server: Server) -> None:
    body = json.dumps({"token": "x", "name": "eve", "password": PASSWORD}).encode()
    statuses = [(await server.client.post("/api/auth/setup", body)).status for _ in range(WRONG_PER_ADDRESS + 1)]
    assert statuses == [403] * WRONG_PER_ADDRESS + [429]


def test_hashes_that_are_none_are_no_password() -> None:
    assert not is_password("", None)
    assert not is_password("x", "")
    assert not is_password("x", "not a hash")
