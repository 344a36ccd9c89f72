"""What the server reports about itself, nodes and models."""

import gzip

import brotli
import pytest
import zstandard
from tests.api.client import Client
from tests.api.conftest import Server

from safelight.wire.messages import FreeMemory

pytestmark = pytest.mark.anyio

IN_THE_BOX = "safelight-miniature.safetensors"


async def test_health(client: Client) -> None:
    answer = await client.get("/health")
    assert (answer.status, answer.text) == (200, "OK")


async def test_health_without_a_database_is_503(server: Server) -> None:
    await server.db.close()
    assert (await server.client.get("/health")).status == 503


async def test_alive_is_not_ready(server: Server) -> None:
    await server.client.get("/object_info")  # waits for the engine
    ready = await server.client.get("/health/ready")
    assert (ready.status, ready.json) == (200, {"ready": True, "workers": 1, "slots": 1})
    await server.db.close()
    ready = await server.client.get("/health/ready")
    assert (ready.status, ready.text) == (503, "not ready: the database does not answer")
    live = await server.client.get("/health/live")
    assert (live.status, live.text) == (200, "OK")


async def test_system_stats(server: Server) -> None:
    await server.client.get("/object_info")  # waits for the engine
    stats = (await server.client.get("/api/system_stats")).json
    assert stats["system"]["ram_total"] >= stats["system"]["ram_free"] > 0
    assert stats["system"]["pytorch_version"] == "2.13.0"
    [device] = stats["devices"]
    assert set(device) == {"name", "type", "index", "vram_total", "vram_free", "torch_vram_total", "torch_vram_free"}


async def test_features_tell_the_web_ui_what_there_is(client: Client) -> None:
    answer = await client.get("/api/features")
    assert answer.json["max_upload_size"] == 50_000
    assert answer.json["extension"]["manager"]["supports_v4"] is False
    assert "authorization" in answer.headers["vary"].lower()


async def test_free_reaches_every_engine(server: Server) -> None:
    await server.client.get("/object_info")
    assert (await server.client.post("/api/free", {"unload_models": True})).status == 200
    assert server.engine.others == [FreeMemory(unload_models=True, free_memory=False)]
    assert (await server.client.post("/free", b"")).status == 200


async def test_users_are_not_made_by_name(client: Client) -> None:
    assert (await client.get("/api/users")).json == {"storage": "server", "migrated": True}
    assert (await client.post("/users", {"username": "bob"})).status == 403


async def test_logs(client: Client) -> None:
    assert (await client.get("/internal/logs")).text == "2026-01-02T00:00:00+00:00 - ready\n"
    raw = (await client.get("/internal/logs/raw")).json
    assert raw["entries"] == [{"t": 1_767_312_000_000, "m": "ready\n"}]


async def test_models(server: Server) -> None:
    client = server.client
    folders = {folder["name"]: folder for folder in (await client.get("/api/experiment/models")).json}
    assert "checkpoints" in folders
    assert "configs" not in folders
    assert str(server.models_dir) not in (await client.get("/api/experiment/models")).text
    file, in_the_box = (await client.get("/api/experiment/models/checkpoints")).json
    assert (file["name"], file["pathIndex"], file["size"]) == ("a.safetensors", 0, 40)
    assert (in_the_box["name"], in_the_box["pathIndex"]) == (IN_THE_BOX, 1)
    assert (await client.get("/models/checkpoints")).json == ["a.safetensors", IN_THE_BOX]
    assert "checkpoints" in (await client.get("/models")).json
    for path in ("/models/nope", "/api/experiment/models/nope", "/experiment/models/preview/checkpoints/0/a.webp"):
        assert (await client.get(path)).status == 404
    assert (await client.get("/view_metadata/checkpoints?filename=a.safetensors")).json == {"format": "pt"}
    assert (await client.get("/api/view_metadata/checkpoints?filename=x")).status == 404
    assert (await client.get("/view_metadata/checkpoints")).status == 400
    assert (await client.get("/api/embeddings")).json == []
    paths = (await client.get("/internal/folder_paths")).json
    assert paths["checkpoints"][0][0] == str(server.models_dir / "checkpoints")


async def test_web_lists(client: Client) -> None:
    assert (await client.get("/api/extensions")).json == ["/extensions/pack/script.js"]
    assert (await client.get("/extensions")).json == ["/extensions/pack/script.js"]
    assert (await client.get("/extensions/pack/script.js")).text == "the web UI's /extensions/pack/script.js"
    assert (await client.get("/api/i18n")).json == {}
    assert (await client.get("/workflow_templates")).json == {}
    assert (await client.get("/api/node_replacements")).json == {}
    assert (await client.get("/api/global_subgraphs")).json["sharpen"]["name"] == "Sharpen"
    assert (await client.get("/api/global_subgraphs/sharpen")).json["data"] == "{}"
    assert (await client.get("/api/global_subgraphs/nope")).status == 404


async def test_object_info(server: Server) -> None:
    info = (await server.client.get("/api/object_info")).json
    assert info["EmptyImage"]["input"]["required"]["color"] == ["INT", {"default": 0}]
    assert info["CheckpointLoader"]["input"]["required"]["ckpt_name"] == [["a.safetensors", IN_THE_BOX], {}]
    one = (await server.client.get("/object_info/SaveImage")).json
    assert one == {"SaveImage": info["SaveImage"]}
    for path in ("/object_info/Nope", "/api/object_info/Primitive%20boolean%20[Crystools]"):
        assert (await server.client.get(path)).json == {}


async def test_object_info_is_compressed_as_the_client_takes_it(client: Client) -> None:
    plain = (await client.get("/api/object_info")).body
    for accepts, name, decompress in (
        ("gzip, deflate, br, zstd", "zstd", lambda b: zstandard.ZstdDecompressor().decompress(b, len(plain))),
        ("gzip;q=0.5, br", "br", brotli.decompress),
        ("gzip, br;q=0", "gzip", gzip.decompress),
    ):
        answer = await client.request("GET", "/api/object_info", headers={"accept-encoding": accepts, "x": "1"})
        assert answer.headers["content-encoding"] == name
        assert decompress(answer.body) == plain
        same = await client.get(
            "/api/object_info", {"accept-encoding": accepts, "if-none-match": answer.headers["etag"]}
        )
        assert same.status == 304


async def test_object_info_follows_uploads_and_model_files(server: Server) -> None:
    async def options(node: str, name: str) -> list[str]:
        found: list[str] = (await server.client.get("/object_info")).json[node]["input"]["required"][name][0]
        return found

    assert await options("LoadImage", "image") == []
    await server.client.upload("/upload/image", {}, image=("b.png", b"1"))
    await server.client.upload("/upload/image", {}, image=("a.png", b"2"))
    await server.client.upload("/upload/image", {}, image=("notes.txt", b"3"))
    assert await options("LoadImage", "image") == ["a.png", "b.png"]
    assert (await server.client.get("/object_info/LoadImage")).json["LoadImage"]["input"]["required"]["image"] == [
        ["a.png", "b.png"],
        {"image_upload": True},
    ]
    (server.models_dir / "checkpoints" / "b.ckpt").write_bytes(b"")
    server.models.refresh()
    assert await options("CheckpointLoader", "ckpt_name") == ["a.safetensors", "b.ckpt", IN_THE_BOX]
