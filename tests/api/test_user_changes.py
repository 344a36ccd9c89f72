"""What becomes of users who are renamed or deleted, quotas that renew, and what an administrator does with jobs."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from tests.api.accounts import PASSWORD, add_user, signed_in
from tests.api.conftest import Server
from tests.api.prompts import text

from safelight.core.clock import SystemClock
from safelight.core.user import Quota
from safelight.db.tables import metadata
from safelight.services import quota
from safelight.services import user as users

pytestmark = pytest.mark.anyio

USERS = "/api/admin/users"
PROMPT = text()


async def change(server: Server, root: Any, user_id: str, **body: Any) -> Any:
    return await server.client.request("PATCH", f"{USERS}/{user_id}", json.dumps(body).encode(), headers=root)


async def rows_of(server: Server, user_id: str) -> dict[str, int]:
    """The number of rows in each table that name the user as their owner."""

    def count(tx: Any) -> dict[str, int]:
        owned = {table.name: table.c.owner_id for table in metadata.sorted_tables if "owner_id" in table.c}
        return {
            name: len(tx.conn.execute(select(owner).where(owner == user_id)).all()) for name, owner in owned.items()
        }

    return {name: number for name, number in (await server.db.read(count)).items() if number}


async def test_a_deleted_user_leaves_no_row_and_others_keep_theirs(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    anna, as_anna = await signed_in(server, "anna")
    bob, as_bob = await signed_in(server, "bob")
    for headers in (as_anna, as_bob):
        await server.client.upload("/api/upload/image", {}, headers=headers, image=("cat.png", b"\x89PNG\r\n\x1a\n"))
        await server.client.post("/api/userdata/workflows%2Fone.json", {"nodes": []}, headers=headers)
        await server.client.post("/api/userdata/workflows%2Fone.json/publish", {"asset_ids": []}, headers=headers)
        await server.client.post("/api/settings", {"a": 1}, headers=headers)
        await server.client.post("/api/prompt", {"prompt": PROMPT}, headers=headers)
    before = await rows_of(server, bob.user_id)
    assert {"asset", "userdata", "workflow", "publication", "setting", "job", "api_key"} <= before.keys()
    deleted = await server.client.request("DELETE", f"{USERS}/{anna.user_id}", headers=root)
    assert deleted.status == 204, deleted.text
    assert await rows_of(server, anna.user_id) == {}
    assert (await rows_of(server, bob.user_id)).keys() >= before.keys()
    assert (await server.client.get("/api/account", as_anna)).status == 401
    assert [user["name"] for user in (await server.client.get(USERS, root)).json["users"]] == ["bob", "root"]
    audit = (await server.client.get("/api/admin/audit?action=user.delete", root)).json["entries"]
    assert [entry["subject"] for entry in audit] == ["anna"]
    again = await server.client.request("DELETE", f"{USERS}/{anna.user_id}", headers=root)
    assert again.status == 404


async def test_a_user_deletes_their_own_data_with_the_password(server: Server) -> None:
    await add_user(server, "root", is_admin=True)
    account = await add_user(server, "anna", password=True)
    opened = await server.client.post("/api/auth/session", {"name": "anna", "password": PASSWORD})
    headers = {"cookie": opened.headers["set-cookie"].split(";")[0], "host": "127.0.0.1:8188"}
    for body, status in (({"password": "wrong password"}, 403), ({"password": PASSWORD}, 204)):
        answer = await server.client.request("DELETE", "/api/account", json.dumps(body).encode(), headers=headers)
        assert answer.status == status, answer.text
    assert await rows_of(server, account.user_id) == {}


async def test_the_only_administrator_stays(server: Server) -> None:
    root, headers = await signed_in(server, "root", is_admin=True)
    body = json.dumps({"name": "root"}).encode()
    refused = await server.client.request("DELETE", "/api/account", body, headers=headers)
    assert (refused.status, "only administrator" in refused.text) == (409, True)
    assert (await server.client.request("DELETE", f"{USERS}/{root.user_id}", headers=headers)).status == 409


async def test_a_renamed_user_keeps_everything(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    anna, as_anna = await signed_in(server, "anna")
    await server.client.post("/api/userdata/workflows%2Fone.json", {"nodes": []}, headers=as_anna)
    shared = await server.client.post("/api/userdata/workflows%2Fone.json/publish", {"asset_ids": []}, headers=as_anna)
    assert (await change(server, root, anna.user_id, name="root")).status == 409
    assert (await change(server, root, anna.user_id, name="Anna.B")).json["name"] == "anna.b"
    own = await server.client.get("/api/account", as_anna)
    assert own.json["name"] == "anna.b"
    published = await server.client.get(f"/api/workflows/published/{shared.json['share_id']}", root)
    assert published.json["author"] == "anna.b"


async def test_a_budget_renews_by_itself(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    anna, _ = await signed_in(server, "anna")
    changed = await change(server, root, anna.user_id, limits={"device_s": 100}, renew_every_s=7 * 86400)
    assert changed.json["renew_every_s"] == 7 * 86400
    assert (await change(server, root, anna.user_id, renew_every_s=5)).status == 400

    def later(days: int) -> Any:
        now = SystemClock().now() + timedelta(days=days)

        def renew(tx: Any) -> tuple[int, float]:
            renewed = users.renew_due(tx, now=now)
            return renewed, users.get_by_id(tx, anna.user_id).used_device_s

        return renew

    await server.db.write(lambda tx: users.reset_device_s(tx, name="anna"))
    await server.db.write(lambda tx: quota.use_device(tx, anna.user_id, seconds=90, now=SystemClock().now()))
    assert await server.db.write(later(6)) == (0, 90)
    assert await server.db.write(later(15)) == (1, 0)
    assert await server.db.write(later(20)) == (0, 0)
    assert await server.db.write(later(21)) == (1, 0)
    assert (await change(server, root, anna.user_id, renew_every_s=None)).json["renew_every_s"] is None


async def test_an_ended_job_is_retried_for_its_owner(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    anna, as_anna = await signed_in(server, "anna")
    first = (await server.client.post("/api/prompt", {"prompt": PROMPT}, headers=as_anna)).json["prompt_id"]
    path = f"/api/admin/jobs/{anna.user_id}/{first}"
    for _ in range(500):
        if (await server.client.get(path, root)).json["status"] == "completed":
            break
        await asyncio.sleep(0.01)
    retried = await server.client.post(f"{path}/retry", {}, headers=root)
    assert (retried.status, retried.json["user"]) == (201, anna.user_id)
    assert retried.json["id"] != first
    own = (await server.client.get("/api/jobs", as_anna)).json["jobs"]
    assert {job["id"] for job in own} == {first, retried.json["id"]}


async def test_a_waiting_job_is_brought_to_the_front(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    anna, as_anna = await signed_in(server, "anna")
    await server.db.write(lambda tx: users.set_quota(tx, name="anna", quota=Quota(running_jobs=0)))
    ids = [
        (await server.client.post("/api/prompt", {"prompt": PROMPT}, headers=as_anna)).json["prompt_id"]
        for _ in range(3)
    ]
    moved = await server.client.post(f"/api/admin/jobs/{anna.user_id}/{ids[2]}/front", {}, headers=root)
    assert moved.json == {"first": True}
    queued = (await server.client.get("/api/admin/jobs?status=queued", root)).json["jobs"]
    assert [job["id"] for job in queued] == [ids[2], ids[0], ids[1]]


async def test_usage_by_day_keys_log_and_messages(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    anna, as_anna = await signed_in(server, "anna")
    job = (await server.client.post("/api/prompt", {"prompt": PROMPT}, headers=as_anna)).json["prompt_id"]
    for _ in range(500):
        if (await server.client.get(f"/api/jobs/{job}", as_anna)).json["status"] == "completed":
            break
        await asyncio.sleep(0.01)
    [day] = (await server.client.get("/api/admin/usage?days=2", root)).json["days"]
    assert (day["user"], day["name"], day["jobs"]) == (anna.user_id, "anna", 1)
    await server.client.post("/api/feedback", {"type": "general", "content": "no cats"}, headers=as_anna)
    [message] = (await server.client.get("/api/admin/feedback", root)).json["messages"]
    assert (message["user"], message["content"]) == ("anna", "no cats")
    listed = (await server.client.get("/api/admin/keys", root)).json["keys"]
    [key] = [key for key in listed if key["user"] == "anna"]
    assert (await server.client.request("DELETE", f"/api/admin/keys/{key['id']}", headers=root)).status == 204
    assert (await server.client.get("/api/account", as_anna)).status == 401
    assert (await server.client.get("/api/admin/log", root)).json["lines"][0]["text"] == "ready\n"


async def test_own_sessions_are_listed_and_ended(server: Server) -> None:
    await add_user(server, "anna", password=True)
    cookies = []
    for _ in range(2):
        opened = await server.client.post("/api/auth/session", {"name": "anna", "password": PASSWORD})
        cookies.append({"cookie": opened.headers["set-cookie"].split(";")[0], "host": "127.0.0.1:8188"})
    sessions = (await server.client.get("/api/account/sessions", cookies[0])).json["sessions"]
    assert sorted(session["is_this"] for session in sessions) == [False, True]
    [other] = [session for session in sessions if not session["is_this"]]
    ended = await server.client.request("DELETE", f"/api/account/sessions/{other['id']}", headers=cookies[0])
    assert ended.status == 200
    assert (await server.client.get("/api/account", cookies[1])).status == 401
    assert (await server.client.get("/api/account", cookies[0])).status == 200
