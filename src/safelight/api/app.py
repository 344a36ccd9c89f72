"""What handlers work with, and the ports to the parts of the server outside the HTTP layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from safelight.api.comfy.hub import Hub
from safelight.api.comfy.job_lists import JobLists
from safelight.api.comfy.node_info import NodeInfoBodies
from safelight.api.comfy.rendering import Renderer
from safelight.api.heavy import HeavyWork
from safelight.api.sign_in import SignIn
from safelight.api.upload_slots import Uploads
from safelight.api.v2.streams import Streams
from safelight.blobs.cache import FileCache
from safelight.blobs.store import BlobStore, Presigning
from safelight.core.clock import Clock
from safelight.core.ids import UserId
from safelight.core.pack import PackStatus
from safelight.core.pool import QueueKey
from safelight.core.worker import EngineInfo, SlotId, SlotStatus
from safelight.db.engine import Database
from safelight.dispatch.scheduling.forecast import Forecast
from safelight.services.batch_expansion import BatchExpansion
from safelight.services.catalogue import LiveCatalogue
from safelight.services.download import Downloads
from safelight.services.expiry import Expiry
from safelight.services.housekeeping import Housekeeping
from safelight.services.job_log_recorder import JobLogRecorder
from safelight.services.model import ModelFiles
from safelight.services.model_import import ModelImports
from safelight.services.model_index import ModelIndexer
from safelight.services.run_time_recorder import RunTimeRecorder
from safelight.services.sign_on import SignOn
from safelight.services.submission import RemoteValidation, Submissions
from safelight.services.webhook_sender import WebhookSender
from safelight.settings import Settings
from safelight.telemetry.metrics import Metrics
from safelight.wire.messages import PackResponse

if TYPE_CHECKING:
    from safelight.telemetry.traces import Traces


class Engines(RemoteValidation, Protocol):
    """The part of the dispatcher that HTTP uses; jobs reach it through the database and the bus."""

    @property
    def is_here(self) -> bool:
        """Whether this server has the dispatcher, and not another one of the same database."""
        ...

    def engines(self) -> Sequence[EngineInfo]:
        """The latest description of each engine that is ready."""
        ...

    def pack_of_route(self, method: str, path: str) -> str | None:
        """The node pack that has a route for this decoded path."""
        ...

    async def request_pack(
        self, owner_id: UserId, *, method: str, path: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> PackResponse:
        """The pack's response. ``target``: the path as the client sent it, with its query."""
        ...

    def slots(self) -> Sequence[SlotStatus]:
        """The current state of each slot."""
        ...

    def forecast(
        self, key: QueueKey, *, depths: Mapping[QueueKey, int], ahead: int, run_s: float | None
    ) -> Forecast | None:
        """When the job behind ``ahead`` others of ``key`` will start; ``None`` if that is unknown. ``depths``: how many
        jobs wait under each key; ``run_s``: how long the job takes."""
        ...

    def packs(self) -> Mapping[SlotId, Sequence[PackStatus]]:
        """The node packs of each engine that is ready."""
        ...

    def free(self, *, owner_id: UserId | None, unload_models: bool, free_memory: bool) -> None:
        """Make engines release memory when they are next idle: all engines, or those whose latest job is the
        owner's."""
        ...


class Log(Protocol):
    def entries(self, *, owner: UserId | None) -> Sequence[tuple[datetime, str]]:
        """The latest lines of the log, oldest first; each ends with a line break. ``owner``: only the lines of this
        user's jobs; ``None``: all."""
        ...


class WebUi(Protocol):
    """The web UI and what it loads. A server without it has an implementation that answers 404 and empty lists."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a path that is not a route of the API."""
        ...

    def extensions(self) -> Sequence[str]:
        """Paths of the scripts that the web UI loads in addition to its own."""
        ...

    def translations(self) -> Mapping[str, Any]: ...

    def workflow_templates(self) -> Mapping[str, Sequence[str]]:
        """Names of example workflows by node pack."""
        ...

    async def template(self, pack: str, filename: str, request: Request) -> Response | None: ...

    async def global_subgraphs(self, request: Request) -> Response:
        """All blueprints by id, with their data."""
        ...

    def global_subgraph(self, blueprint_id: str) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What handlers work with. Made by :func:`safelight.api.http_app.create_http_app`; the last fifteen fields
    belong to the HTTP layer alone. ``presigning``: signs URLs at which clients read bytes from the object store.
    ``traces``: ``None`` if requests are not traced."""

    settings: Settings
    clock: Clock
    db: Database
    blobs: BlobStore
    files: FileCache
    presigning: Presigning | None
    catalogue: LiveCatalogue
    models: ModelFiles
    dispatcher: Engines
    web: WebUi
    logs: Log
    hub: Hub
    job_lists: JobLists
    renderer: Renderer
    node_info: NodeInfoBodies
    model_indexer: ModelIndexer
    downloads: Downloads
    model_imports: ModelImports
    sign_in: SignIn
    sign_on: SignOn | None
    uploads: Uploads
    heavy: HeavyWork
    submissions: Submissions
    streams: Streams
    expiry: Expiry
    housekeeping: Housekeeping
    metrics: Metrics
    batches: BatchExpansion
    run_times: RunTimeRecorder
    job_logs: JobLogRecorder
    traces: "Traces | None"
    webhooks: WebhookSender
