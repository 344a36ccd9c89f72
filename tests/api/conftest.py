"""A whole server in this process: real database, blobs, bus and dispatcher; only its engine follows a script."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from tests.api.client import Client
from tests.api.engine import READY, Engine
from tests.database import is_sqlite, url_of

from safelight.api.http_app import HttpApp, create_http_app
from safelight.api.responses import json_response
from safelight.blobs.cache import FileCache
from safelight.blobs.stores import open_store
from safelight.bus.memory import MemoryBus
from safelight.core.clock import SystemClock
from safelight.core.ids import UserId
from safelight.core.worker import SlotId
from safelight.db.engine import Database
from safelight.dispatch.backends.fake import FakeBackend
from safelight.dispatch.dispatcher import Dispatcher
from safelight.dispatch.files.shared import SharedFiles
from safelight.services import user
from safelight.services.catalogue import LiveCatalogue
from safelight.services.egress import Address, Egress
from safelight.services.model import ModelFiles
from safelight.services.model_site import ModelSite
from safelight.settings import Settings

BLUEPRINT = {"source": "templates", "name": "Sharpen", "info": {"node_pack": "comfyui"}, "data": "{}"}


class NoWeb:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(f"the web UI's {scope['path']}")(scope, receive, send)

    def extensions(self) -> Sequence[str]:
        return ["/extensions/pack/script.js"]

    def translations(self) -> Mapping[str, Any]:
        return {}

    def workflow_templates(self) -> Mapping[str, Sequence[str]]:
        return {}

    async def template(self, pack: str, filename: str, request: Request) -> Response | None:
        return json_response({"nodes": []}) if (pack, filename) == ("pack", "a b.json") else None

    async def global_subgraphs(self, request: Request) -> Response:
        return json_response({"sharpen": BLUEPRINT})

    def global_subgraph(self, blueprint_id: str) -> Mapping[str, Any] | None:
        return BLUEPRINT if blueprint_id == "sharpen" else None


class Lines:
    def entries(self, *, owner: UserId | None) -> Sequence[tuple[datetime, str]]:
        return [(datetime(2026, 1, 2, tzinfo=UTC), "ready\n")] if owner is None else []


@dataclass(frozen=True)
class Server:
    app: HttpApp
    client: Client
    engine: Engine
    backend: FakeBackend
    bus: MemoryBus
    db: Database
    catalogue: LiveCatalogue
    models: ModelFiles
    models_dir: Path


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the present schema and the local user, which each test copies: migrating is slow."""
    path = tmp_path_factory.mktemp("database") / "safelight.db"

    async def make() -> None:
        db = await Database.open(f"sqlite:///{path}", on_commit=lambda events: None)
        await db.write(lambda tx: user.ensure_local(tx, now=SystemClock().now()))
        await db.close()

    asyncio.run(make())
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def settings_of(folder: Path) -> Settings:
    url = "" if is_sqlite() else url_of(folder, "safelight.db")
    return Settings.of(
        database_url=url, data_dir=folder, max_body_bytes=100_000, max_upload_bytes=50_000, max_asset_bytes=60_000
    )


def is_test_server(address: Address) -> bool:
    """127.0.0.1 represents the Internet; the machine's other addresses represent the operator's network."""
    return str(address) == "127.0.0.1"


@pytest.fixture
async def server(tmp_path: Path, settings: Settings, migrated: Path) -> AsyncIterator[Server]:
    async with running(tmp_path, settings, migrated) as server:
        yield server


@asynccontextmanager
async def running(
    tmp_path: Path, settings: Settings, migrated: Path, sites: Sequence[ModelSite] = ()
) -> AsyncIterator[Server]:
    bus, clock, engine = MemoryBus(), SystemClock(), Engine()
    if is_sqlite():
        shutil.copy(migrated, tmp_path / "safelight.db")
    db = await Database.open(settings.database, on_commit=bus.publish)
    if not is_sqlite():
        await db.write(lambda tx: user.ensure_local(tx, now=clock.now()))
    store = open_store(settings.blobs)
    blobs = store.blobs
    files = FileCache(blobs, tmp_path / "cache", max_bytes=0)
    checkpoints = tmp_path / "models" / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    (checkpoints / "a.safetensors").write_bytes(_safetensors('{"__metadata__":{"format":"pt"}}'))
    models = ModelFiles(settings.model_roots)
    models.refresh()
    catalogue = LiveCatalogue(models)
    backend = FakeBackend([SlotId("cpu")], ready=READY, script=engine)
    dispatcher = Dispatcher(
        db=db,
        bus=bus,
        backend=backend,
        transport=SharedFiles(files=files, blobs=blobs, staging=tmp_path / "staging", slots=backend.slots, clock=clock),
        clock=clock,
        cancel_grace_s=5,
        on_ready=lambda engine, ready, digest: catalogue.publish(engine, ready.nodes, digest=digest),
    )
    app = create_http_app(
        settings=settings,
        clock=clock,
        db=db,
        bus=bus,
        blobs=blobs,
        files=files,
        presigning=store.presigning if settings.storage.blob_redirects else None,
        catalogue=catalogue,
        models=models,
        dispatcher=dispatcher.access,
        web=NoWeb(),
        logs=Lines(),
        egress=Egress(is_allowed=is_test_server),
        sites=sites,
    )
    await dispatcher.start()
    yield Server(app, Client(app), engine, backend, bus, db, catalogue, models, tmp_path / "models")
    app.close_sockets()
    await app.stop()
    await dispatcher.stop()
    await db.close()


@pytest.fixture
def client(server: Server) -> Client:
    return server.client


def _safetensors(header: str) -> bytes:
    return len(header).to_bytes(8, "little") + header.encode()
