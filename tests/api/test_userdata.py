"""Userdata and settings: the contract's forms under ``/api``, ComfyUI's own without it."""

from typing import Any

import pytest
from tests.api.client import Client

pytestmark = pytest.mark.anyio


async def save(client: Client, name: str = "workflows%2Fone.json", content: bytes = b'{"a": 3}') -> Any:
    answer = await client.post(f"/api/userdata/{name}", content)
    assert answer.status == 200
    return answer.json


async def test_path_is_one_encoded_segment(client: Client) -> None:
    saved = await save(client)
    assert (saved["path"], saved["size"]) == ("workflows/one.json", 8)
    assert saved["modified"] > 1_600_000_000_000
    answer = await client.get("/api/userdata/workflows%2Fone.json")
    assert (answer.body, answer.headers["content-type"]) == (b'{"a": 3}', "application/octet-stream")
    assert (
        await client.get("/api/userdata/workflows%2fone.json", {"if-none-match": answer.headers["etag"]})
    ).status == 304
    assert (await client.get("/api/userdata/workflows/one.json")).status == 404
    assert (await client.get("/api/userdata/workflows%2Fnope.json")).status == 404


async def test_list(client: Client) -> None:
    await save(client)
    await save(client, "workflows%2Fsub%2Ftwo.json")

    async def paths(query: str) -> list[str]:
        return [file["path"] for file in (await client.get(f"/api/userdata?{query}")).json]

    assert await paths("dir=workflows") == ["one.json"]
    assert await paths("dir=workflows%2F&recurse=true&split=true") == ["one.json", "sub/two.json"]
    assert await paths("recurse=true") == ["workflows/one.json", "workflows/sub/two.json"]
    assert (await client.get("/api/userdata?dir=nope")).status == 404
    assert (await client.get("/api/userdata?dir=..%2F..")).status == 400
    assert (await client.get("/api/userdata?dir=workflows&recurse=maybe")).status == 400


async def test_list_in_comfyui_s_own_shapes(client: Client) -> None:
    await save(client)
    await save(client, "workflows%2Fsub%2Ftwo.json")
    assert (await client.get("/userdata?dir=workflows&recurse=true")).json == ["one.json", "sub/two.json"]
    split = (await client.get("/userdata?dir=workflows&recurse=true&split=true")).json
    assert split == [["one.json", "one.json"], ["sub/two.json", "sub", "two.json"]]
    [full] = (await client.get("/userdata?dir=workflows&full_info=true&split=true")).json
    assert (full["path"], full["size"]) == ("one.json", 8)
    assert 1_600_000_000 < full["modified"] < 10_000_000_000
    for query, text in (("", "Directory not provided"), ("?dir=nope", "Directory not found")):
        answer = await client.get(f"/userdata{query}")
        assert (answer.status in (400, 404), answer.text) == (True, text)


async def test_tree(client: Client) -> None:
    await save(client)
    await save(client, "workflows%2Fsub%2Ftwo.json")
    tree = (await client.get("/v2/userdata")).json
    assert [(item["path"], item["type"]) for item in tree] == [
        ("workflows", "directory"),
        ("workflows/sub", "directory"),
        ("workflows/one.json", "file"),
        ("workflows/sub/two.json", "file"),
    ]
    below = (await client.get("/api/v2/userdata?path=workflows")).json
    assert [item["path"] for item in below] == ["workflows/sub", "workflows/one.json", "workflows/sub/two.json"]
    assert (await client.get("/v2/userdata?path=nope")).status == 404
    assert (await client.get("/v2/userdata?path=../..")).status == 400


async def test_overwrite(client: Client) -> None:
    await save(client)
    refused = await client.post("/api/userdata/workflows%2Fone.json?overwrite=false", b"x")
    assert (refused.status, refused.text) == (409, "File already exists")
    assert (await client.post("/userdata/workflows%2Fone.json", b"x")).json == "workflows/one.json"
    assert (await client.post("/userdata/workflows%2Fone.json?full_info=true", b"xy")).json["size"] == 2
    assert (await client.post("/api/userdata/one?overwrite=perhaps", b"x")).status == 400


async def test_move_and_delete(client: Client) -> None:
    await save(client)
    await save(client, "workflows%2Ftwo.json")
    move = "/userdata/workflows%2Fone.json/move/"
    assert (await client.post(f"/api{move}workflows%2Ftwo.json?overwrite=false", b"")).status == 409
    assert (await client.post(f"/api{move}deep%2Fthree.json", b"")).json["path"] == "deep/three.json"
    assert (await client.post(f"/api{move}x.json", b"")).status == 404
    assert (await client.post("/userdata/deep%2Fthree.json/move/four.json", b"")).json == "four.json"
    info = (await client.post("/userdata/four.json/move/five.json?full_info=true", b"")).json
    assert (info["path"], info["size"]) == ("five.json", 8)
    assert (await client.request("DELETE", "/api/userdata/five.json")).status == 204
    assert (await client.request("DELETE", "/api/userdata/five.json")).status == 404


@pytest.mark.parametrize("name", ["..%2F..%2Fx.json", "%2Fetc%2Fpasswd", "a%2F", "a%00b"])
async def test_path_that_leads_outside_is_refused(client: Client, name: str) -> None:
    assert (await client.post(f"/api/userdata/{name}", b"x")).status == 403
    assert (await client.get(f"/api/userdata/{name}")).status == 400


async def test_style_sheet_of_the_page(client: Client) -> None:
    await save(client, "user.css", b"body {}")
    assert (await client.get("/api/userdata/user.css")).headers["content-type"].startswith("text/css")


async def test_settings(client: Client) -> None:
    assert (await client.get("/api/settings")).json == {}
    assert (await client.get("/api/settings/Comfy.X")).status == 404
    assert (await client.get("/settings/Comfy.X")).json is None
    answer = await client.post("/api/settings/Comfy.X", b"1.25", headers={"content-type": "text/plain"})
    assert answer.json == {"value": 1.25}
    merged = await client.post("/api/settings", {"Comfy.Y": {"a": [1]}, "Comfy.Z": True})
    assert merged.json == {"Comfy.X": 1.25, "Comfy.Y": {"a": [1]}, "Comfy.Z": True}
    assert (await client.get("/settings")).json == merged.json
    assert (await client.get("/api/settings/Comfy.Y")).json == {"value": {"a": [1]}}
    assert (await client.get("/settings/Comfy.Y")).json == {"a": [1]}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"NaN"])
async def test_settings_that_are_none_are_400(client: Client, body: bytes) -> None:
    assert (await client.post("/api/settings", body)).status == 400
