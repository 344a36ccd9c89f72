"""A server with accounts: which credentials it accepts, and how soon a revoked one is refused."""

import base64
from collections.abc import Callable

import pytest
from tests.api.accounts import add_key, add_user, signed_in
from tests.api.client import Client
from tests.api.conftest import Server
from tests.api.prompts import text
from tests.database import everything_in

from safelight.core.clock import SystemClock
from safelight.core.credential import KeyId, parse_key
from safelight.core.user import Quota
from safelight.services import key, user

pytestmark = pytest.mark.anyio


async def test_without_accounts_everybody_is_the_local_user(server: Server) -> None:
    assert (await server.client.get("/api/user")).json == {"id": "local", "status": "active"}
    foreign = Client(server.app, host="evil.example")
    assert (await foreign.get("/api/user")).status == 403


async def test_the_first_account_shuts_the_door(server: Server) -> None:
    assert (await server.client.get("/api/user")).status == 200
    await add_user(server, "anna")
    refused = await server.client.get("/api/user")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert (await server.client.connect()).status == 401
    assert (await server.client.get("/api/extensions")).status == 200
    by_name = Client(server.app, host="safelight.example")
    assert (await by_name.get("/api/user")).status == 401  # a proxy may stand before a server with accounts


async def test_all_ways_to_send_a_key(server: Server) -> None:
    account = await add_user(server, "anna")
    text = await add_key(server, "anna")
    basic = base64.b64encode(f"any:{text}".encode()).decode()
    for headers in ({"x-api-key": text}, {"authorization": f"Bearer {text}"}, {"authorization": f"basic {basic}"}):
        answer = await server.client.get("/api/user", headers=headers)
        assert answer.json == {"id": account.user_id, "status": "active"}
    socket = await server.client.connect(f"/ws?clientId=a&token={text}")
    assert socket.status == 101
    await socket.close()
    assert (await server.client.get(f"/api/user?token={text}")).status == 200


SPOILED: list[Callable[[str], str]] = [
    lambda key: key[:-1],
    lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
    lambda key: "comfyui-" + "0" * 12 + key[20:],
    lambda key: key[:21] + "A" * 43,
    lambda key: "",
    lambda key: "é" + key,
    lambda key: key.upper(),
]


@pytest.mark.parametrize("spoil", SPOILED)
async def test_wrong_keys(server: Server, spoil: Callable[[str], str]) -> None:
    _, headers = await signed_in(server, "anna")
    wrong = spoil(headers["x-api-key"])
    for sent in ({"x-api-key": wrong}, {"authorization": f"Bearer {wrong}"}, {"authorization": "Basic ???"}):
        assert (await server.client.get("/api/user", headers=sent)).status == 401


async def test_a_wrong_credential_is_not_saved_by_a_right_one(server: Server) -> None:
    _, headers = await signed_in(server, "anna")
    both = {"x-api-key": "comfyui-wrong", "authorization": f"Bearer {headers['x-api-key']}"}
    assert (await server.client.get("/api/user", headers=both)).status == 401


async def test_a_revoked_key_ends_at_once_with_its_sockets(server: Server) -> None:
    _, headers = await signed_in(server, "anna")
    other = {"x-api-key": await add_key(server, "anna")}
    parsed = parse_key(headers["x-api-key"])
    assert parsed is not None
    going, staying = await server.client.connect(headers=headers), await server.client.connect(headers=other)
    assert (await going.hear())["type"] == (await staying.hear())["type"] == "status"
    assert (await server.client.get("/api/user", headers=headers)).status == 200
    await server.db.write(lambda tx: key.revoke(tx, key_id=parsed.id))
    assert (await server.client.get("/api/user", headers=headers)).status == 401
    with pytest.raises(ConnectionResetError, match="1008"):
        await going.hear()
    assert (await server.client.get("/api/user", headers=other)).status == 200
    staying.say("feature_flags", {})
    assert (await staying.hear())["type"] == "feature_flags"
    await staying.close()


async def test_a_disabled_user_is_out_at_once(server: Server) -> None:
    _, headers = await signed_in(server, "anna")
    socket = await server.client.connect(headers=headers)
    await socket.hear()
    await server.db.write(lambda tx: user.disable(tx, name="anna", disabled=True, now=SystemClock().now()))
    assert (await server.client.get("/api/user", headers=headers)).status == 401
    with pytest.raises(ConnectionResetError):
        await socket.hear()
    await server.db.write(lambda tx: user.disable(tx, name="anna", disabled=False, now=SystemClock().now()))
    assert (await server.client.get("/api/user", headers=headers)).status == 401  # the key was deleted
    fresh = {"x-api-key": await add_key(server, "anna")}
    assert (await server.client.get("/api/user", headers=fresh)).status == 200


async def test_with_the_last_account_disabled_the_door_stays_shut(server: Server) -> None:
    await add_user(server, "anna")
    await server.db.write(lambda tx: user.disable(tx, name="anna", disabled=True, now=SystemClock().now()))
    assert (await server.client.get("/api/user")).status == 401


async def test_secrets_are_not_in_the_database(server: Server) -> None:
    _, headers = await signed_in(server, "anna")
    await server.client.get("/api/user", headers=headers)
    secret = headers["x-api-key"].partition("_")[2].encode()
    stored = everything_in(server.models_dir.parent, "safelight.db")
    assert headers["x-api-key"][len("comfyui-") :].partition("_")[0].encode() in stored
    assert secret not in stored
    listed = await server.db.read(key.list)
    assert [row.owner for row in listed] == ["anna"]
    assert secret.decode() not in str(listed)
    assert listed[0].id == KeyId(headers["x-api-key"][len("comfyui-") :].partition("_")[0])


async def test_quotas_in_the_words_of_a_submit(server: Server) -> None:
    _, headers = await signed_in(server, "anna")
    body = {"prompt": text()}
    await server.db.write(lambda tx: user.set_quota(tx, name="anna", quota=Quota(queued_jobs=0)))
    refused = await server.client.post("/api/prompt", body, headers=headers)
    assert (refused.status, refused.json["error"]["type"]) == (429, "quota_reached")
    assert int(refused.headers["retry-after"]) > 0
    await server.db.write(lambda tx: user.set_quota(tx, name="anna", quota=Quota(device_s=0)))
    refused = await server.client.post("/api/prompt", body, headers=headers)
    assert (refused.status, refused.json["error"]["type"]) == (402, "budget_spent")
    assert (await server.client.get("/api/queue", headers=headers)).json == {"queue_running": [], "queue_pending": []}
    await server.db.write(lambda tx: user.set_quota(tx, name="anna", quota=Quota()))
    assert (await server.client.post("/api/prompt", body, headers=headers)).status == 200
