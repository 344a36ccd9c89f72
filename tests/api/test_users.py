"""``/api/admin/users`` and ``/api/account``: inviting, limits, passwords and keys."""

import json

import pytest
from tests.api.accounts import signed_in
from tests.api.conftest import Server

pytestmark = pytest.mark.anyio

USERS = "/api/admin/users"
PASSWORD = "a long enough password"


async def invite(server: Server, root: dict[str, str], *names: str, **more: object) -> list[dict[str, object]]:
    answer = await server.client.post(USERS, {"names": [*names], **more}, headers=root)
    assert answer.status == 201, answer.text
    return answer.json["users"]


def token_of(user: dict[str, object]) -> str:
    path, token = str(user["link"]).split("#")
    assert path == "/invitation"
    return token


async def accept(server: Server, token: str, password: str = PASSWORD) -> dict[str, str]:
    """The cookie of the session that begins."""
    body = {"token": token, "password": password}
    answer = await server.client.post("/api/auth/invitation/accept", body)
    assert answer.status == 201, answer.text
    return {"cookie": answer.headers["set-cookie"].split(";")[0], "host": "127.0.0.1:8188"}


async def test_a_class_is_invited_in_one_step(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    names = [f"student-{number}" for number in range(30)]
    made = await invite(server, root, *names, limits={"running_jobs": 1, "device_s": 3600})
    assert [user["name"] for user in made] == names
    listed = {user["name"]: user for user in (await server.client.get(USERS, root)).json["users"]}
    assert listed.keys() == {*names, "root"}
    student = listed["student-7"]
    assert student["limits"] == {
        "stored_bytes": None,
        "queued_jobs": None,
        "running_jobs": 1,
        "device_s": 3600,
        "run_limit_s": None,
    }
    assert not student["has_password"]
    shown = await server.client.post("/api/auth/invitation", {"token": token_of(made[7])})
    assert shown.json == {"name": "student-7"}
    mine = await accept(server, token_of(made[7]))
    own = (await server.client.get("/api/account", mine)).json
    assert (own["name"], own["is_admin"], own["used"]["queued_jobs"]) == ("student-7", False, 0)


async def test_a_link_works_once_and_a_new_one_replaces_it(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    [anna] = await invite(server, root, "anna")
    again = await server.client.post(f"{USERS}/{anna['id']}/invitation", {}, headers=root)
    first, second = token_of(anna), token_of(again.json)
    refused = await server.client.post("/api/auth/invitation", {"token": first})
    assert (refused.status, "not valid any more" in refused.json["message"]) == (403, True)
    await accept(server, second)
    used = await server.client.post("/api/auth/invitation/accept", {"token": second, "password": PASSWORD})
    assert used.status == 403


async def test_all_names_or_none(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    await invite(server, root, "anna")
    for names in (["ben", "anna"], ["ben", "ben"], ["ben", "no spaces"], [], ["x"] * 501):
        answer = await server.client.post(USERS, {"names": names}, headers=root)
        assert answer.status in (400, 409), (names, answer.text)
    listed = (await server.client.get(USERS, root)).json["users"]
    assert [user["name"] for user in listed] == ["anna", "root"]


async def test_an_account_is_changed(server: Server) -> None:
    root_user, root = await signed_in(server, "root", is_admin=True)
    anna, hers = await signed_in(server, "anna")
    path = f"{USERS}/{anna.user_id}"

    async def change(body: object, path: str = path) -> int:
        return (await server.client.request("PATCH", path, json.dumps(body).encode(), headers=root)).status

    assert await change({"limits": {"queued_jobs": 5}, "weight": 2}) == 200
    assert await change({"limits": {"device_s": 60}}) == 200
    [found] = [user for user in (await server.client.get(USERS, root)).json["users"] if user["name"] == "anna"]
    assert (found["limits"]["queued_jobs"], found["limits"]["device_s"], found["weight"]) == (5, 60, 2)
    for wrong in (
        {"limits": {"pages": 1}},
        {"limits": {"queued_jobs": -1}},
        {"weight": "2"},
        {"weight": 0},
        {"is_admin": 1},
        [],
    ):
        assert await change(wrong) == 400, wrong
    assert await change({"is_disabled": True}, f"{USERS}/{root_user.user_id}") == 409, "an administrator must remain"
    assert await change({}, f"{USERS}/nobody") == 404
    assert await change({"is_disabled": True}) == 200
    assert (await server.client.get("/api/account", hers)).status == 401


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("POST", ""), ("PATCH", "/anna"), ("POST", "/anna/invitation")]
)
async def test_others_are_refused(server: Server, method: str, path: str) -> None:
    _, anna = await signed_in(server, "anna")
    assert (await server.client.request(method, USERS + path, b"{}", headers=anna)).status == 403
    assert (await server.client.request(method, USERS + path, b"{}")).status == 401


async def test_the_first_account_is_an_administrators(server: Server) -> None:
    refused = await server.client.post(USERS, {"names": ["anna"]})
    assert refused.status == 409
    [root] = (await server.client.post(USERS, {"names": ["root"], "is_admin": True})).json["users"]
    assert (await server.client.get(USERS)).status == 401
    mine = await accept(server, token_of(root))
    assert (await server.client.get(USERS, mine)).status == 200


async def test_keys_and_password_of_ones_own(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    [anna, ben] = await invite(server, root, "anna", "ben")
    hers, his = await accept(server, token_of(anna)), await accept(server, token_of(ben))
    made = (await server.client.post("/api/account/keys", {"label": "script"}, headers=hers)).json
    assert (await server.client.get("/api/account", {"x-api-key": made["key"]})).json["name"] == "anna"
    [listed] = (await server.client.get("/api/account/keys", hers)).json["keys"]
    assert (listed["id"], listed["label"], "key" in listed) == (made["id"], "script", False)
    path = f"/api/account/keys/{made['id']}"
    assert (await server.client.request("DELETE", path, headers=his)).status == 404
    assert (await server.client.request("DELETE", path, headers=hers)).status == 200
    assert (await server.client.get("/api/account", {"x-api-key": made["key"]})).status == 401

    wrong = await server.client.post("/api/account/password", {"old": "guess", "new": PASSWORD + "!"}, headers=hers)
    assert (wrong.status, wrong.json["message"]) == (403, "the current password is wrong")
    body = {"old": PASSWORD, "new": PASSWORD + "!"}
    changed = await server.client.post("/api/account/password", body, headers=hers)
    assert changed.status == 201
    assert (await server.client.get("/api/account", hers)).status == 401, "the old session has ended"
    new = {"cookie": changed.headers["set-cookie"].split(";")[0]}
    assert (await server.client.get("/api/account", new)).status == 200
