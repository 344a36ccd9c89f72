"""``/api/v2/assets``: uploads, new assets of stored bytes, content, deletion, lifetimes."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from tests.api.accounts import signed_in
from tests.api.conftest import Server
from tests.api.engine import start_only
from tests.api.prompts import picture
from tests.api.v2.uploads import digest_of, upload

from safelight.core.clock import SystemClock
from safelight.services import expiry

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + b"some pixels" * 10


def handle(asset_id: str) -> dict[str, object]:
    return {"__type": "core/ASSET", "info": {"id": asset_id}}


async def test_an_upload_is_a_new_asset_of_new_bytes(server: Server) -> None:
    answer = await upload(server.client, PNG, expected_hash=digest_of(PNG))
    assert answer.status == 201
    made = answer.json
    assert (made["hash"], made["size_bytes"], made["content_type"]) == (digest_of(PNG), len(PNG), "image/png")
    assert (made["file_path"], made["created_new"], made["job_id"], made["expires_at"]) == (
        "photo.png",
        True,
        None,
        None,
    )
    assert made["url"] == f"http://127.0.0.1:8188/api/v2/assets/{made['id']}/content"
    assert made["created_at"].endswith("Z")
    assert made["url_expires_at"].endswith("Z")
    assert (await server.client.get(f"/api/v2/assets/{made['id']}")).json["hash"] == digest_of(PNG)


async def test_the_same_bytes_again_are_another_asset(server: Server) -> None:
    first, again = await upload(server.client, PNG), await upload(server.client, PNG)
    assert (again.status, again.json["created_new"]) == (200, False)
    assert again.json["id"] != first.json["id"]
    assert (await server.client.request("DELETE", f"/api/v2/assets/{first.json['id']}")).status == 204
    assert (await server.client.get(f"/api/v2/assets/{again.json['id']}/content")).body == PNG


async def test_a_hash_mismatch_leaves_no_row_and_no_bytes(server: Server) -> None:
    blobs = server.models_dir.parent / "blobs"
    before = {path for path in blobs.rglob("*") if path.is_file()}
    answer = await upload(server.client, PNG, expected_hash="blake3:" + "0" * 64)
    assert (answer.status, answer.json["error"]["code"]) == (409, "hash_mismatch")
    assert {path for path in blobs.rglob("*") if path.is_file()} == before
    assert (await server.client.request("HEAD", f"/api/v2/assets/by-hash/{digest_of(PNG)}")).status == 404
    assert (await server.client.get("/api/assets")).json["assets"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"expires_in": "59"}, {"expires_in": "604801"}, {"expires_in": "x"}, {"expected_hash": "md5:1"},
        {"file_path": "../a.png"}, {"content_type": ""}, {"tags": "a,b"},
    ],
    ids=str,
)  # fmt: skip
async def test_invalid_fields_are_refused(server: Server, fields: dict[str, str]) -> None:
    path = fields.pop("file_path", "photo.png")
    answer = await upload(server.client, PNG, path=path, **fields)
    assert answer.status == 422
    assert answer.json["error"]["message"]


async def test_bytes_are_found_by_their_hash_in_both_spellings(server: Server) -> None:
    await upload(server.client, PNG)
    for spelled in (digest_of(PNG), quote(digest_of(PNG), safe="")):
        assert (await server.client.request("HEAD", f"/api/v2/assets/by-hash/{spelled}")).status == 200
    assert (await server.client.request("HEAD", "/api/v2/assets/by-hash/blake3:12")).status == 404


async def test_an_asset_of_stored_bytes_is_made_once_for_a_path(server: Server) -> None:
    await upload(server.client, PNG)
    body = {"hash": digest_of(PNG), "file_path": "again/b.png", "tags": ["kept"]}
    made = await server.client.post("/api/v2/assets/from-hash", body)
    assert (made.status, made.json["created_new"], made.json["file_path"]) == (201, True, "again/b.png")
    same = await server.client.post("/api/v2/assets/from-hash", body)
    assert (same.status, same.json["created_new"], same.json["id"]) == (200, False, made.json["id"])


async def test_bytes_of_another_user_answer_as_bytes_that_do_not_exist(server: Server) -> None:
    _, anna = await signed_in(server, "anna")
    _, ben = await signed_in(server, "ben")
    await upload(server.client, PNG, headers=anna)
    for digest in (digest_of(PNG), "blake3:" + "0" * 64):
        answer = await server.client.post("/api/v2/assets/from-hash", {"hash": digest}, headers=ben)
        assert (answer.status, answer.json["error"]["code"]) == (404, "blob_not_found")
        assert (await server.client.request("HEAD", f"/api/v2/assets/by-hash/{digest}", headers=ben)).status == 404
    assert (await upload(server.client, PNG, headers=ben)).status == 201, "the dedupe must not show that anna has them"


async def test_content_is_served_whole_and_in_ranges(server: Server) -> None:
    made = (await upload(server.client, PNG)).json
    url = f"/api/v2/assets/{made['id']}/content"
    assert (await server.client.get(url)).body == PNG
    part = await server.client.get(url, headers={"range": "bytes=0-4"})
    assert (part.status, part.body) == (206, PNG[:5])
    beyond = await server.client.get(url, headers={"range": "bytes=9999-"})
    assert (beyond.status, beyond.json["error"]["code"]) == (416, "range_not_satisfiable")


async def test_an_asset_is_deleted_once(server: Server) -> None:
    made = (await upload(server.client, PNG)).json
    url = f"/api/v2/assets/{made['id']}"
    assert (await server.client.request("DELETE", url)).status == 204
    again = await server.client.request("DELETE", url)
    assert (again.status, again.json["error"]["code"]) == (404, "not_found")


async def test_an_asset_of_a_job_that_has_not_ended_is_in_use(server: Server) -> None:
    server.engine.script = start_only
    made = (await upload(server.client, PNG)).json
    workflow = picture()
    workflow["1"] = {"class_type": "LoadImage", "inputs": {"image": handle(made["id"])}}
    job = (await server.client.post("/api/v2/jobs", {"workflow": workflow})).json
    refused = await server.client.request("DELETE", f"/api/v2/assets/{made['id']}")
    assert (refused.status, refused.json["error"]["code"]) == (409, "asset_in_use")
    while (await server.client.post(f"/api/v2/jobs/{job['id']}/cancel")).json["status"] != "canceled":
        pass
    assert (await server.client.request("DELETE", f"/api/v2/assets/{made['id']}")).status == 204


async def test_an_asset_with_a_lifetime_is_removed_after_it(server: Server) -> None:
    made = (await upload(server.client, PNG, expires_in="60")).json
    assert made["expires_at"] > made["created_at"]
    later = SystemClock().now() + timedelta(seconds=61)
    early = await server.db.write(lambda tx: expiry.remove_expired(tx, at_most=10, now=SystemClock().now()))
    late = await server.db.write(lambda tx: expiry.remove_expired(tx, at_most=10, now=later))
    assert (early, late) == (0, 1)
    assert (await server.client.get(f"/api/v2/assets/{made['id']}")).status == 404


async def test_every_answer_has_a_request_id_of_its_own(server: Server) -> None:
    paths = ["/api/v2/assets/none", "/api/v2/jobs", "/api/v2/nowhere", "/api/v2/jobs?limit=x"]
    ids = [(await server.client.get(path)).headers["x-comfy-request-id"] for path in paths]
    assert len(set(ids)) == len(paths)
    assert "x-comfy-request-id" not in (await server.client.get("/api/jobs")).headers
    assert set((await server.client.get("/api/v2/nowhere")).json) == {"error"}
