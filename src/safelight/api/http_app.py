"""The server as one ASGI application: the API, ``/ws``, routes of node packs, and the web UI for every other path."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from safelight import __version__
from safelight.api import contract as contracts
from safelight.api import openapi_document
from safelight.api.app import App, Engines, Log, WebUi
from safelight.api.auth import AccountAuthenticator, Authenticator
from safelight.api.body_draining import Draining
from safelight.api.comfy.hub import Hub
from safelight.api.comfy.job_lists import JobLists
from safelight.api.comfy.node_info import NodeInfoBodies
from safelight.api.comfy.rendering import Renderer
from safelight.api.comfy.socket import serve_socket
from safelight.api.contract import Shape
from safelight.api.cross_origin import CrossOrigin
from safelight.api.error_responses import error_response, shaped
from safelight.api.file_fetching import create_downloads
from safelight.api.forwarding import Forwarder
from safelight.api.heavy import HeavyWork
from safelight.api.mcp import door as mcp_door
from safelight.api.mcp.door import McpDoor
from safelight.api.metrics import metrics_text
from safelight.api.origin import Origins
from safelight.api.pack_routes import answer_pack_route
from safelight.api.pipeline import ANY, Pipeline
from safelight.api.proxies import Proxies
from safelight.api.request_id import V2_PREFIX, identified
from safelight.api.request_path import decoded_path
from safelight.api.responses import json_response
from safelight.api.routes import build_router
from safelight.api.sign_in import SignIn
from safelight.api.slow_clients import TimedReceive
from safelight.api.upload_slots import Uploads
from safelight.api.v2.streams import Streams
from safelight.blobs.cache import FileCache
from safelight.blobs.store import BlobStore, Presigning
from safelight.bus.bus import Bus
from safelight.core.clock import Clock
from safelight.core.errors import Forbidden, Unavailable
from safelight.core.ids import UserId
from safelight.db.engine import Database
from safelight.graph.prompt_format import Limits
from safelight.services.batch_expansion import BatchExpansion
from safelight.services.catalogue import LiveCatalogue
from safelight.services.egress import Egress
from safelight.services.expiry import Expiry
from safelight.services.housekeeping import Housekeeping
from safelight.services.identity import TokenVerifier
from safelight.services.job_log_recorder import JobLogRecorder
from safelight.services.model import ModelFiles
from safelight.services.model_index import ModelIndexer
from safelight.services.model_site import ModelSite
from safelight.services.run_time_recorder import RunTimeRecorder
from safelight.services.scheduled_backup import BackupPlan
from safelight.services.sign_on import SignOn
from safelight.services.submission import SubmissionRules, Submissions
from safelight.services.webhook_sender import WebhookSender
from safelight.settings import Settings
from safelight.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from safelight.telemetry.traces import Traces

_SOCKET_PATHS = ("/ws", "/api/ws")
_PAGE_FILES = ("/assets/",)
_API_PREFIXES = ("/api/", "/internal/", "/v2/")


def create_http_app(
    *,
    settings: Settings,
    clock: Clock,
    db: Database,
    bus: Bus,
    blobs: BlobStore,
    files: FileCache,
    catalogue: LiveCatalogue,
    models: ModelFiles,
    dispatcher: Engines,
    leader: Callable[[], str | None] = lambda: None,
    web: WebUi,
    logs: Log,
    authenticator: Authenticator | None = None,
    egress: Egress | None = None,
    sites: Sequence[ModelSite] | None = None,
    presigning: Presigning | None = None,
    metrics: Metrics | None = None,
    traces: "Traces | None" = None,
) -> "HttpApp":
    """``leader``: returns the address of the server that leads, where that is another server of the same database."""
    heavy = HeavyWork()
    rules = SubmissionRules(
        limits=Limits(nodes=settings.limits.max_graph_nodes),
        max_names=settings.limits.max_prompt_names,
        pools=settings.pool_names,
        size_classes=settings.size_classes,
    )
    downloads, model_imports = create_downloads(
        settings, db=db, blobs=blobs, clock=clock, models=models, egress=egress, sites=sites
    )
    app = App(
        settings=settings,
        clock=clock,
        db=db,
        blobs=blobs,
        files=files,
        presigning=presigning,
        catalogue=catalogue,
        models=models,
        dispatcher=dispatcher,
        web=web,
        logs=logs,
        hub=Hub(bus),
        job_lists=JobLists(bus),
        renderer=Renderer(files),
        node_info=NodeInfoBodies(db, catalogue, bus),
        model_indexer=ModelIndexer(db, models, clock),
        downloads=downloads,
        model_imports=model_imports,
        sign_in=SignIn(db, clock),
        sign_on=_sign_on(settings, clock),
        uploads=Uploads(),
        heavy=heavy,
        submissions=Submissions(
            db=db, clock=clock, catalogue=catalogue, models=models, workers=dispatcher, cpu=heavy, rules=rules
        ),
        streams=Streams(bus),
        expiry=Expiry(db, clock),
        housekeeping=Housekeeping(
            db,
            blobs,
            clock,
            retention=settings.housekeeping.retention,
            every_s=settings.housekeeping.housekeeping_every_s,
            data_dir=settings.server.data_dir,
            database=settings.database,
            plan=_backup_plan(settings),
            keep_audit_s=settings.housekeeping.keep_audit_s,
        ),
        metrics=metrics or Metrics(version=__version__),
        batches=BatchExpansion(db, clock, bus),
        run_times=RunTimeRecorder(db, bus, catalogue),
        job_logs=JobLogRecorder(db, bus),
        traces=traces,
        webhooks=WebhookSender(db, clock, bus, egress or Egress()),
    )
    return HttpApp(app, authenticator or _authenticator(settings, clock, db, bus), Forwarder(leader))


def _backup_plan(settings: Settings) -> BackupPlan | None:
    of = settings.housekeeping
    return BackupPlan(Path(of.backup_dir), of.backup_every_s, of.backups_kept) if of.backup_dir else None


def _sign_on(settings: Settings, clock: Clock) -> SignOn | None:
    access = settings.access
    if not access.oidc_issuer:
        return None
    return SignOn(
        clock,
        issuer=access.oidc_issuer,
        client_id=access.oidc_client_id,
        client_secret=access.oidc_client_secret,
        scope=access.oidc_scope,
        groups_claim=access.oidc_groups_claim,
        rules=access.group_rules,
    )


def _authenticator(settings: Settings, clock: Clock, db: Database, bus: Bus) -> Authenticator:
    tokens = None
    if settings.access.jwt_issuer:
        tokens = TokenVerifier(
            clock,
            issuer=settings.access.jwt_issuer,
            audience=settings.access.jwt_audience,
            jwks_url=settings.access.jwt_jwks_url,
        )
    return AccountAuthenticator(
        db,
        clock,
        bus,
        may_be_open=not settings.access.requires_accounts and (settings.server.is_loopback or settings.access.insecure),
        tokens=tokens,
        creates_users=settings.access.jwt_create_users,
        token_header=settings.access.jwt_header,
    )


class HttpApp:
    """An ASGI application without a lifespan: :meth:`close_sockets` and :meth:`stop` end its background work."""

    def __init__(self, app: App, authenticator: Authenticator, forwarder: Forwarder) -> None:
        self._app = app
        self._forwarder = forwarder
        self._authenticator = authenticator
        contract, v2 = contracts.load(), contracts.load_v2()
        self._documents = {
            "/openapi.json": openapi_document.document(contract),
            "/api/v2/openapi.json": openapi_document.document_v2(v2),
        }
        self._origins = Origins(app.settings, authenticator)
        self._cross_origin = CrossOrigin(app.settings.server.allowed_origins)
        self._mcp = McpDoor(app, authenticator, self._origins)
        self._proxies = Proxies(app.settings.server.proxy_networks)
        self._pipeline = Pipeline(app, build_router(contract, v2), authenticator, self._origins, forwarder)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = self._cross_origin.mark(self._proxies.client_scope(scope))
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            draining = Draining(scope, TimedReceive(receive, grace_s=self._app.settings.limits.slow_body_s), send)
            with identified(scope, self._cross_origin.sender(scope, draining.send)) as send_with_id:
                await self._answer(scope, draining.receive, send_with_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (preflight := self._cross_origin.preflight(scope)) is not None:
            await preflight(scope, receive, send)
        elif not await self._pipeline.handle(scope, receive, send):
            await (await self._outside_the_api(scope, receive))(scope, receive, send)

    async def metrics_text(self) -> bytes:
        """All metrics of this server, in OpenMetrics' format."""
        return await metrics_text(self._app)

    async def follow_accounts(self) -> None:
        """Run forever: notice accounts, keys and sessions that a command removes."""
        await self._authenticator.follow()

    async def start_leading(self) -> None:
        """Continue the downloads and batches that the last process left unfinished, send webhooks, and remove what
        expires. Called on the server that leads only."""
        await self._app.downloads.resume()
        await self._app.model_imports.resume()
        for work in self._work_of_leader:
            work.start()

    async def make_batches(self) -> None:
        """Make jobs of batches as far as there is room."""
        while await self._app.batches.make_some():
            pass

    async def keep_run_times(self) -> None:
        """Keep the run times of jobs that have ended."""
        await self._app.run_times.keep_some()

    async def send_webhooks(self) -> None:
        """Try every webhook delivery that is due."""
        while await self._app.webhooks.send_due():
            pass

    async def stop_leading(self) -> None:
        for work in self._work_of_leader:
            await work.stop()
        await self._app.model_indexer.stop()
        await self._app.downloads.pause()
        await self._app.model_imports.pause()

    @property
    def _work_of_leader(
        self,
    ) -> tuple[Expiry, Housekeeping, BatchExpansion, WebhookSender, RunTimeRecorder, JobLogRecorder]:
        app = self._app
        return app.expiry, app.housekeeping, app.batches, app.webhooks, app.run_times, app.job_logs

    def is_watched(self, owner: UserId) -> bool:
        """Whether the user has an open socket or event stream at this server."""
        return self._app.hub.has(owner) or self._app.streams.has(owner)

    async def stop(self) -> None:
        """End the background work."""
        self._app.heavy.stop()
        await self._mcp.stop()
        for work in self._work_of_leader:
            await work.stop()
        await self._app.model_indexer.stop()
        await self._app.downloads.stop()
        await self._app.model_imports.stop()
        await self._forwarder.close()

    def close_sockets(self) -> None:
        """Close every ``/ws`` connection and event stream; clients reconnect when the server is back."""
        self._app.hub.close()
        self._app.streams.stop()

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if decoded_path(scope) not in _SOCKET_PATHS:
            await send({"type": "websocket.close", "code": 1000})
            return
        await serve_socket(self._app, scope, receive, send, authenticator=self._authenticator, origins=self._origins)

    async def _outside_the_api(self, scope: Scope, receive: Receive) -> ASGIApp:
        path = decoded_path(scope)
        if (document := self._documents.get(path)) is not None:
            return json_response(document)
        if path == mcp_door.PATH and not self._forwarder.can_forward(Request(scope, receive)):
            return self._mcp
        if path in _SOCKET_PATHS:
            return Response("this address is for WebSockets", 400, media_type="text/plain")
        request = Request(scope, receive)
        # Only the leader knows the routes of node packs and the files of their web folders.
        if not path.startswith(_PAGE_FILES) and self._forwarder.can_forward(request):
            try:
                forwarded = await self._forwarder.forward(request)
            except Unavailable as error:
                return error_response(error, ANY)
            if forwarded is not None:
                return forwarded
        pack_response = await answer_pack_route(self._app, request, self._authenticator, self._origins)
        if pack_response is not None:
            return pack_response
        if path.startswith(_API_PREFIXES):
            shape = Shape.ENVELOPE if path.startswith(V2_PREFIX) else Shape.ERROR
            return shaped(shape, 404, "not_found", f"there is no {path}")
        try:
            await self._origins.check(HTTPConnection(scope))
        except (Forbidden, Unavailable) as error:
            return error_response(error, ANY)
        if path in ("", "/", "/index.html") and await self._must_sign_in(scope):
            # Only this page needs a session: its scripts are public, as the package is.
            headers = {"location": f"{scope.get('root_path', '')}/login", "cache-control": "no-store"}
            return Response(status_code=302, headers=headers)
        return self._app.web

    async def _must_sign_in(self, scope: Scope) -> bool:
        try:
            return await self._authenticator.authenticate(HTTPConnection(scope)) is None
        except Unavailable:
            return True
