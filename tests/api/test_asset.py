"""``/api/assets`` and ``/api/tags`` over HTTP: from the upload of an asset to its end."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from blake3 import blake3
from tests.api.client import Answer, Client
from tests.api.conftest import Server
from tests.api.test_files import png

from safelight.core.asset import PUBLIC_OWNER
from safelight.core.ids import UserId
from safelight.core.user import Principal
from safelight.db import user
from safelight.services import asset_library as library
from safelight.services.asset_library import NewAsset

pytestmark = pytest.mark.anyio

NOBODYS = "00000000-0000-4000-8000-000000000000"


async def upload(client: Client, data: bytes, name: str = "a.png", **fields: str) -> Any:
    answer = await client.upload("/api/assets", fields, file=(name, data))
    assert answer.status == 201, answer.body
    return answer.json


async def listed(client: Client, query: str = "") -> list[str]:
    answer = await client.get(f"/api/assets?{query}")
    assert answer.status == 200, answer.body
    return [asset["name"] for asset in answer.json["assets"]]


async def put(client: Client, path: str, content: Any) -> Answer:
    return await client.request("PUT", path, json.dumps(content).encode())


async def delete(client: Client, path: str, content: Any = None) -> Answer:
    return await client.request("DELETE", path, json.dumps(content).encode() if content else b"")


async def test_an_upload_says_what_it_is(client: Client) -> None:
    data = png()
    asset = await upload(client, data, "lies.txt", tags="input,nice", user_metadata='{"a": 1}')
    digest = f"blake3:{blake3(data).hexdigest()}"
    assert asset["created_new"] is True
    assert (asset["asset_hash"], asset["hash"]) == (digest, digest)
    assert (asset["name"], asset["size"], asset["mime_type"]) == ("lies.txt", len(data), "image/png")
    assert (asset["tags"], asset["user_metadata"]) == (["input", "nice"], {"a": 1})
    assert asset["preview_id"] == asset["id"]
    path = asset["preview_url"].removeprefix("http://127.0.0.1:8188")
    assert (await client.get(path)).body == data
    assert (await client.get(f"/api/assets/{asset['id']}/content")).body == data
    del asset["created_new"]
    seen = (await client.get(f"/api/assets/{asset['id']}")).json
    assert {**seen, "last_access_time": ""} == {**asset, "last_access_time": ""}
    assert seen["last_access_time"] >= asset["last_access_time"]


async def test_the_same_bytes_are_the_asset_that_is_there(client: Client) -> None:
    first = await upload(client, png(), tags="input")
    again = await upload(client, png(), "b.png", tags='["input", "other"]')
    assert (again["id"], again["name"], again["created_new"]) == (first["id"], "a.png", False)
    assert again["tags"] == ["input", "other"]
    assert (await client.get("/api/assets")).json["total"] == 1


async def test_an_id_makes_an_upload_repeatable(client: Client) -> None:
    wanted = str(uuid4())
    first = await upload(client, png(), id=wanted)
    again = await upload(client, png(alpha=3), id=wanted)
    assert (first["id"], first["created_new"]) == (wanted, True)
    assert (again["id"], again["created_new"], again["hash"]) == (wanted, False, first["hash"])


async def test_files_of_an_upload_and_of_upload_image_are_assets(server: Server) -> None:
    await server.client.upload("/api/upload/image", {"type": "temp"}, image=("t.png", png()))
    await upload(server.client, png(alpha=1), "in.png")
    assert await listed(server.client, "include_tags=temp") == ["t.png"]
    assert await listed(server.client) == ["in.png", "t.png"]
    assert (await server.client.get("/internal/files/input")).json == ["in.png [input]"]


async def test_a_file_can_be_named_by_its_bytes(client: Client) -> None:
    asset = await upload(client, png(), tags="input")
    name = asset["hash"].removeprefix("blake3:") + ".png"
    assert (await client.get(f"/api/view?filename={name}&type=input")).body == png()
    assert await listed(client, f"hash={name}&limit=1") == ["a.png"]
    assert await listed(client, f"asset_hash={asset['hash']}") == ["a.png"]
    assert await listed(client, f"asset_hash=blake3:{'0' * 64}") == []
    assert await listed(client, "hash=example.png&limit=1") == [], "the web UI asks so for every input by name"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"tags": "missing"}, 400),
        ({"tags": "[1]"}, 400),
        ({"user_metadata": "[]"}, 400),
        ({"user_metadata": "{"}, 400),
        ({"id": "x"}, 400),
        ({"preview_id": NOBODYS}, 400),
        ({"name": " "}, 400),
    ],
)
async def test_an_upload_that_does_not_fit_leaves_nothing(client: Client, fields: dict[str, str], status: int) -> None:
    answer = await client.upload("/api/assets", fields, file=("a.bin", b"x"))
    assert answer.status in (status, 422)
    assert await listed(client) == []


async def test_limits_of_an_upload(client: Client) -> None:
    assert (await client.upload("/api/assets", {}, file=("a", b"x" * 70_000))).status == 413
    assert (await client.upload("/api/assets", {"name": "a"})).status == 400
    answer = await client.request("POST", "/api/assets", b"<x/>", headers={"content-type": "application/xml"})
    assert answer.status == 415
    assert await listed(client) == []


async def test_pages(client: Client) -> None:
    for number in range(5):
        await upload(client, b"%d" % number, f"{number}.txt", tags=f"n{number % 2}")
    answer = (await client.get("/api/assets?limit=2&sort=name&order=asc")).json
    assert ([a["name"] for a in answer["assets"]], answer["total"], answer["has_more"]) == (["0.txt", "1.txt"], 5, True)
    cursor = answer["next_cursor"]
    answer = (await client.get(f"/api/assets?limit=3&sort=name&order=asc&after={cursor}&offset=3")).json
    assert [a["name"] for a in answer["assets"]] == ["2.txt", "3.txt", "4.txt"]
    assert answer["has_more"] is False
    assert "next_cursor" not in answer
    assert await listed(client, "offset=3") == ["1.txt", "0.txt"]
    assert await listed(client, "tags_any=n1,n9&order=asc") == ["1.txt", "3.txt"]
    assert await listed(client, "tags_none=n1&include_tags=n0&limit=1") == ["4.txt"]
    for query in (f"after={cursor}", f"after={cursor}&sort=size", "after=junk", "after=", "after=bm9wZQ",
                  f"after={cursor}&sort=last_access_time", f"after={cursor}&sort=name&order=desc"):  # fmt: skip
        assert (await client.get(f"/api/assets?{query}")).status == 400, query
    for query in ("metadata_filter=[]", "metadata_filter={", "limit=0", "asset_hash=x", "sort=colour"):
        assert (await client.get(f"/api/assets?{query}")).status == 400, query


async def test_filters_of_metadata(client: Client) -> None:
    await upload(client, b"1", "one", user_metadata='{"kind": "a", "n": 1}')
    await upload(client, b"2", "two", user_metadata='{"kind": ["b", "c"]}')
    assert await listed(client, 'metadata_filter={"kind":"a","n":1.0}') == ["one"]
    assert await listed(client, 'metadata_filter={"kind":["a","c"]}') == ["two", "one"]
    assert await listed(client, 'metadata_filter={"n":null}') == ["two"]


async def test_details_are_changed(client: Client) -> None:
    asset = await upload(client, b"x", "old name", user_metadata='{"kind": "a"}')
    path = f"/api/assets/{asset['id']}"
    changed = await put(client, path, {"name": "Fresh Name", "user_metadata": {"kind": "b"}, "mime_type": "a/b"})
    assert changed.status == 200
    assert await listed(client, "name_contains=FRESH") == ["Fresh Name"]
    assert await listed(client, "name_contains=old") == []
    assert await listed(client, 'metadata_filter={"kind":"b"}') == ["Fresh Name"]
    assert await listed(client, 'metadata_filter={"kind":"a"}') == []
    assert (await client.get(path)).json["mime_type"] == "a/b"
    for content in ({}, {"tags": ["x"]}, {"mime_type": "nonsense"}, {"preview_id": NOBODYS}, {"preview_id": "x"}):
        assert (await put(client, path, content)).status == 400, content
    assert (await put(client, f"/api/assets/{NOBODYS}", {"name": "x"})).status == 404


async def test_tags_are_changed_and_counted(client: Client) -> None:
    asset = await upload(client, b"x", tags="one,two")
    path = f"/api/assets/{asset['id']}/tags"
    answer = await client.post(path, {"tags": ["two", "three"]})
    assert answer.json == {"added": ["three"], "already_present": ["two"], "total_tags": ["one", "three", "two"]}
    answer = await delete(client, path, {"tags": ["one", "nine"]})
    assert answer.json == {"removed": ["one"], "not_present": ["nine"], "total_tags": ["three", "two"]}
    answer = await put(client, path, {"add": ["four"], "remove": ["two"]})
    assert answer.json["total_tags"] == ["four", "three"]
    for call in (client.post(path, {"tags": ["missing"]}), delete(client, path, {"tags": ["missing"]}),
                 put(client, path, {"add": ["missing"]})):  # fmt: skip
        assert (await call).status == 422
    assert (await client.post(path, {"tags": [""]})).status == 400
    assert (await put(client, path, {"add": [], "remove": []})).status == 400
    assert (await client.post(f"/api/assets/{NOBODYS}/tags", {"tags": ["x"]})).status == 404
    answer = (await client.get("/api/tags?include_zero=true&order=name_asc")).json
    assert {tag["name"]: tag["count"] for tag in answer["tags"]} == {"four": 1, "one": 0, "three": 1, "two": 0}
    answer = (await client.get("/api/tags?prefix=f")).json
    assert answer == {"tags": [{"name": "four", "count": 1}], "total": 1, "has_more": False}
    assert (await client.get("/api/assets/tags/refine")).json == {"tag_counts": {"four": 1, "three": 1}}
    assert (await client.get("/api/assets/tags/refine?include_tags=one")).json == {"tag_counts": {}}


async def test_an_asset_from_a_hash(client: Client) -> None:
    asset = await upload(client, b"weights", "w.bin", tags="models")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    for name, digest in (("b", asset["hash"]), ("s", f"sha256:{sha256}")):
        answer = await client.post("/api/assets/from-hash", {"hash": digest, "name": name, "tags": ["copy"]})
        assert answer.status == 201
        assert (answer.json["hash"], answer.json["created_new"]) == (asset["hash"], True)
    assert await listed(client, "include_tags=copy") == ["s", "b"]
    wrong = {"hash": f"blake3:{'0' * 64}", "tags": ["x"]}
    assert (await client.post("/api/assets/from-hash", wrong)).status == 404
    assert (await client.post("/api/assets/from-hash", {**wrong, "hash": "md5:1"})).status == 400
    assert (await client.request("HEAD", f"/api/assets/hash/{asset['hash']}")).status == 200
    assert (await client.request("HEAD", f"/api/assets/hash/blake3:{'0' * 64}")).status == 404
    assert (await client.request("HEAD", "/api/assets/hash/blake3:x")).status == 400


async def test_an_asset_ends(client: Client) -> None:
    asset = await upload(client, b"x", "gone.txt", tags="t")
    path = f"/api/assets/{asset['id']}"
    assert (await delete(client, path)).status == 204
    for answer in (await client.get(path), await delete(client, path), await client.get(f"{path}/content")):
        assert answer.status == 404
    assert await listed(client, "name_contains=gone") == []
    assert (await client.get("/api/tags")).json["tags"] == []
    assert (await client.get("/api/view?filename=gone.txt&type=input")).status == 404


async def test_what_is_another_users_is_not_there(server: Server) -> None:
    client, now = server.client, datetime.now(UTC)
    mine = await upload(client, b"mine", tags="t")
    ids: list[str] = []

    def others(tx: Any) -> None:
        for name, owner in (("theirs", UserId("other")), ("shared", PUBLIC_OWNER)):
            user.ensure(tx.conn, owner, name=name, is_admin=False, now=now)
            new = NewAsset(name=name, digest=blake3(name.encode()).hexdigest(), size=1, mime_type="a/b", tags=["t"])
            ids.append(library.add(tx, Principal(owner), new=new, now=now)[0].id)

    await server.db.write(others)
    theirs, shared = ids
    assert await listed(client) == ["shared", "a.png"]
    assert await listed(client, "include_public=false") == ["a.png"]
    hidden = f"blake3:{blake3(b'theirs').hexdigest()}"
    for path, change in ((theirs, 404), (shared, 404), (mine["id"], 200)):
        assert (await put(client, f"/api/assets/{path}", {"name": "x"})).status == change
        assert (await client.post(f"/api/assets/{path}/tags", {"tags": ["y"]})).status == change
    assert (await client.get(f"/api/assets/{theirs}")).status == 404
    assert (await delete(client, f"/api/assets/{theirs}")).status == 404
    assert (await client.get(f"/api/assets/{shared}")).json["is_immutable"] is True
    assert (await client.request("HEAD", f"/api/assets/hash/{hidden}")).status == 404
    assert (await client.post("/api/assets/from-hash", {"hash": hidden, "tags": ["x"]})).status == 404
    again = await client.upload("/api/assets", {"id": theirs}, file=("z", b"z"))
    assert again.status == 201
    assert again.json["id"] == theirs, "each owner has ids of their own"
    assert {tag["name"]: tag["count"] for tag in (await client.get("/api/tags")).json["tags"]} == {"t": 2, "y": 1}


async def test_an_asset_that_a_workflow_names_stays(client: Client) -> None:
    asset = await upload(client, png(), "used.png", tags="input")
    graph = {"nodes": [{"id": 1, "type": "LoadImage", "widgets_values": [asset["hash"]]}]}
    made = await client.post("/api/workflows", {"name": "w", "workflow_json": graph})
    assert made.status == 201, made.body
    answer = await delete(client, f"/api/assets/{asset['id']}")
    assert (answer.status, answer.json["code"]) == (409, "conflict")
    assert (await delete(client, f"/api/workflows/{made.json['id']}")).status in (200, 204)
    assert (await delete(client, f"/api/assets/{asset['id']}")).status == 204
