"""The server's model files as public assets."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.api.conftest import Server

from safelight.services.model import ModelFiles
from safelight.services.model_index import ModelIndexer

pytestmark = pytest.mark.anyio


class Still:
    def now(self) -> datetime:
        return datetime(2026, 1, 2, tzinfo=UTC)

    def monotonic_s(self) -> float:
        return 0.0


def seeder(server: Server) -> ModelIndexer:
    return ModelIndexer(server.db, ModelFiles([server.models_dir]), Still())


async def models(server: Server, query: str = "") -> list[dict[str, Any]]:
    answer = await server.client.get(f"/api/assets?include_tags=models&sort=name&order=asc{query}")
    found: list[dict[str, Any]] = answer.json["assets"]
    return found


async def test_model_files_become_public_assets(server: Server) -> None:
    (server.models_dir / "loras" / "sub").mkdir(parents=True)
    (server.models_dir / "loras" / "sub" / "l.safetensors").write_bytes(b"lora")
    scan = seeder(server)
    assert scan.start(None)
    assert not scan.start(None)
    await scan.join()
    assert (scan.progress.status, scan.progress.registered, scan.progress.total) == ("completed", 2, 2)
    checkpoint, lora = await models(server)
    assert checkpoint["tags"] == ["checkpoints", "model_type:checkpoints", "models"]
    assert (lora["loader_path"], lora["size"], lora["is_immutable"]) == ("sub/l.safetensors", 4, True)
    assert await models(server, "&include_public=false") == []
    scan.start(None)
    await scan.join()
    assert (scan.progress.registered, scan.progress.unchanged) == (0, 2)


async def test_what_is_gone_is_marked_and_what_returns_is_not(server: Server) -> None:
    path = server.models_dir / "checkpoints" / "a.safetensors"
    aside = server.models_dir / "a.aside"
    scan = seeder(server)
    scan.start(["checkpoints"])
    await scan.join()
    path.rename(aside)
    answer = await server.client.post("/api/assets/prune")
    assert answer.json == {"status": "completed", "marked": 1}
    assert (await server.client.post("/api/assets/prune")).json["marked"] == 0
    assert await models(server, "&exclude_tags=missing") == []
    aside.rename(path)
    scan.start(None)
    await scan.join()
    assert len(await models(server, "&exclude_tags=missing")) == 1
    path.write_bytes(b"other bytes")
    scan.start([str(server.models_dir)])
    await scan.join()
    assert [asset["size"] for asset in await models(server)] == [11]


async def test_a_scan_over_http(server: Server) -> None:
    assert (await server.client.get("/api/assets/seed/status")).json["status"] == "idle"
    assert (await server.client.post("/api/assets/seed/cancel")).json == {"status": "idle"}
    assert (await server.client.post("/api/assets/seed", {"roots": ["nothing"]})).json == {"status": "started"}
    assert (await server.client.post("/api/assets/seed/cancel")).json == {"status": "cancelling"}
    assert (await server.client.post("/api/assets/seed", {"roots": "x"})).status == 400
