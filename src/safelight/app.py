"""The server's composition root: the only place that knows all parts, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Coroutine, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from starlette.types import ASGIApp

from safelight import __version__
from safelight.api.http_app import HttpApp, create_http_app
from safelight.backends import engines_of_slots, make_backend, make_transport, own_folder
from safelight.blobs.cache import FileCache
from safelight.blobs.store import BlobStore, Checkable, StoreUnavailable, Sweepable
from safelight.blobs.stores import open_store
from safelight.bus.memory import MemoryBus
from safelight.core.clock import Clock, SystemClock
from safelight.core.event import JobEnded
from safelight.core.leader import Leader
from safelight.db.engine import Database, is_postgres, take_server_lock
from safelight.declared_nodes import DeclaredNodes
from safelight.dispatch.attempts.run_limits import Limits
from safelight.dispatch.dispatcher import Dispatcher
from safelight.dispatch.leadership import Leadership
from safelight.sandbox.rules import Account
from safelight.services import account_revision, example_input, job_log
from safelight.services import attempt as attempt_service
from safelight.services import session as session_service
from safelight.services import user as user_service
from safelight.services.catalogue import LiveCatalogue
from safelight.services.job_stages import JobStageClock, JobStages
from safelight.services.log import JobLog, LogBuffer
from safelight.services.model import REFRESH_S, ModelFiles
from safelight.services.model_memory import ModelMemory
from safelight.settings import BUNDLED_MODELS, Settings, check_accounts, default_account, worker_account
from safelight.telemetry.metrics import Metrics
from safelight.tracing import follow_jobs, open_traces
from safelight.web.packages import Packages, find_packages
from safelight.web.site import Web
from safelight.web.templates import Here

if TYPE_CHECKING:
    from safelight.bus.postgres import PostgresBus
    from safelight.telemetry.job_traces import JobTraces

log = logging.getLogger(__name__)

JOBS_IN_CONSOLE = 100
"""The latest jobs whose kept lines are in the console after a start."""
SWEEP_SHARED_S = 24 * 3600.0
"""Unfinished files that are older than this are not being written by another server of the same folder."""
SWEEP_S = 6 * 3600.0
"""Between two sweeps of unfinished uploads in an object store."""


class App:
    """A running server without its socket. Made by :meth:`start`, ended by :meth:`stop`."""

    def __init__(
        self,
        *,
        db: Database,
        bus: PostgresBus | None,
        engines: Dispatcher | Leadership,
        web: Web,
        logs: LogBuffer,
        files: FileCache,
        http_app: HttpApp,
        following: Sequence[Coroutine[Any, Any, None]],
        job_traces: JobTraces | None,
        setup_token: str | None,
    ) -> None:
        """``following``: background work that runs until the server stops."""
        self._db = db
        self._bus = bus
        self._engines = engines
        self._web = web
        self._logs = logs
        self._files = files
        self._http_app = http_app
        self._job_traces = job_traces
        self._following = [asyncio.create_task(work) for work in following]
        self.setup_token = setup_token
        """While there are no accounts yet: the secret of the link that creates the first administrator."""

    @classmethod
    async def start(cls, settings: Settings) -> Self:
        """Open the database, then start the workers in the background: the server answers before they are ready."""
        account = await asyncio.to_thread(worker_account, settings)
        prepare_data_dir(settings.server.data_dir, account)
        clock = SystemClock()
        shared = _shared_bus() if settings.storage.replicas else None
        bus = MemoryBus() if shared is None else shared
        metrics = Metrics(version=__version__)
        bus.subscribe(lambda event: metrics.event_delivered(type(event).__name__))
        traces = open_traces(settings)
        logs = LogBuffer(bus)
        logging.getLogger().addHandler(logs)
        store = open_store(settings.blobs)
        blobs = store.blobs
        if store.checkable is not None:
            await _warn_if_unavailable(store.checkable)
        cache = settings.server.data_dir / "cache"
        files = FileCache(
            blobs, (cache / own_folder(settings, "blobs")).resolve(), max_bytes=settings.storage.blob_cache_bytes
        )
        models = ModelFiles([root.resolve() for root in settings.model_roots], settings.extra_models)
        model_memory = ModelMemory(models)
        catalogue = LiveCatalogue(models, settings.engine_order, only_own=BUNDLED_MODELS.resolve())
        if shared is None:
            db = await Database.open(
                settings.database, on_commit=bus.publish, is_server=True, on_write=metrics.committed
            )
        else:
            db = await Database.open(
                settings.database,
                on_commit=shared.on_commit,
                announce=shared.announce,
                on_write=metrics.committed,
            )
        if store.cleanable is not None:
            store.cleanable.clean_up(older_than_s=SWEEP_SHARED_S if settings.storage.replicas else 0.0)
        try:
            setup_token = await _prepare_accounts(db, settings, clock)
            if settings.server.example_input:
                await _prepare_example(db, blobs, clock)
        except BaseException:
            await db.close()
            raise
        logs.add_kept(await db.read(lambda tx: job_log.latest(tx, at_most=JOBS_IN_CONSOLE)))
        if not is_postgres(settings.database):
            _hide(settings.database)
        await asyncio.to_thread(_say_as_whom, settings, account)
        web = Web(
            find_packages() if settings.server.web else Packages(),
            cache_dir=cache / "web",
            here=lambda: Here(
                catalogue.version, catalogue.current, lambda folder, name: models.find_in(folder, name) is not None
            ),
        )

        nodes = DeclaredNodes(settings, catalogue, web)
        await nodes.restore(db)

        def make_dispatcher(db: Database, *, since: datetime | None = None) -> Dispatcher:
            backend = make_backend(settings, account, presigning=store.presigning, since=since)
            return Dispatcher(
                db=db,
                bus=bus,
                backend=backend,
                transport=make_transport(settings, account, backend=backend, store=store, files=files, clock=clock),
                labels=dict(zip(backend.slots, settings.labels, strict=True)),
                engines={slot: spec.kind for slot, spec in engines_of_slots(settings).items()},
                preference=settings.engine_order,
                affinity_wait_s=settings.scheduling.affinity_wait_s,
                idle_timeout_s=settings.workers.worker_idle_s,
                min_running=settings.workers.workers_awake,
                limits=Limits(
                    run_s=settings.scheduling.run_limit_s,
                    pools=settings.run_limits,
                    silent_node_s=settings.scheduling.silent_node_s,
                ),
                clock=clock,
                cancel_grace_s=settings.workers.cancel_grace_s,
                on_ready=nodes.on_ready,
                needs=lambda job: model_memory.needed(job.models),
                on_claim=metrics.claimed,
                on_models_loaded=metrics.models_loaded,
                fetch_ahead=None if store.presigning is None or backend.copies_files else files,
            )

        async def lead(guarded: Database, leader: Leader) -> Dispatcher:
            dispatcher = make_dispatcher(guarded, since=leader.since)
            try:
                await dispatcher.start()
                await http_app.start_leading()
            except BaseException:
                await dispatcher.stop()
                raise
            return dispatcher

        engines: Dispatcher | Leadership
        if settings.storage.replicas:
            engines = Leadership(
                db=db,
                bus=bus,
                clock=clock,
                address=settings.replica_address,
                take_lock=lambda: take_server_lock(settings.database),
                begin=lead,
                end=lambda: http_app.stop_leading(),
            )
        else:
            engines = make_dispatcher(db)
        http_app = create_http_app(
            settings=settings,
            clock=clock,
            db=db,
            bus=bus,
            blobs=blobs,
            files=files,
            presigning=store.presigning if settings.storage.blob_redirects else None,
            catalogue=catalogue,
            models=models,
            dispatcher=engines if isinstance(engines, Leadership) else engines.access,
            leader=engines.elsewhere if isinstance(engines, Leadership) else lambda: None,
            web=web,
            logs=logs,
            metrics=metrics,
            traces=traces,
        )
        job_ends = JobLog(bus)

        def on_job_end(event: JobEnded, stages: JobStages) -> None:
            if engines.is_here:
                metrics.job_ended(event, stages)
                job_ends.job_ended(event, stages)

        JobStageClock(bus, on_end=on_job_end)
        job_traces = None if traces is None else follow_jobs(traces, db, bus, is_leader=lambda: engines.is_here)
        if shared is not None:
            await shared.start(
                db,
                url=settings.database,
                recover=lambda since: db.read(lambda tx: attempt_service.ends_since(tx, since)),
                is_watched=http_app.is_watched,
            )
        await engines.start()
        await web.start()
        if isinstance(engines, Dispatcher):
            await http_app.start_leading()
        following = [_follow_the_disk(models), http_app.follow_accounts()]
        if job_traces is not None:
            following.append(job_traces.follow())
        if store.sweepable is not None:
            following.append(_sweep_repeatedly(store.sweepable))
        if shared is not None:
            following.append(nodes.follow(db, bus))
        return cls(
            db=db,
            bus=shared,
            engines=engines,
            web=web,
            logs=logs,
            files=files,
            http_app=http_app,
            following=following,
            job_traces=job_traces,
            setup_token=setup_token,
        )

    @property
    def asgi(self) -> ASGIApp:
        return self._http_app

    async def metrics_text(self) -> bytes:
        """All metrics of this server, in OpenMetrics' format."""
        return await self._http_app.metrics_text()

    def close_sockets(self) -> None:
        self._http_app.close_sockets()

    async def stop(self) -> None:
        for task in self._following:
            task.cancel()
        logging.getLogger().removeHandler(self._logs)
        await self._http_app.stop()
        await self._engines.stop()
        await self._files.close()
        await self._web.close()
        if self._job_traces is not None:
            await self._job_traces.stop()
        if self._bus is not None:
            await self._bus.stop()
        await self._db.close()


async def _prepare_accounts(db: Database, settings: Settings, clock: Clock) -> str | None:
    """Raises :class:`~safelight.settings.InvalidSetting` if the settings would give access to strangers."""
    await db.write(lambda tx: user_service.ensure_local(tx, now=clock.now()))
    state = await db.read(account_revision.read)
    check_accounts(settings, has_accounts=state.has_accounts)
    if not settings.access.requires_accounts or state.has_accounts:
        return None
    return await db.write(lambda tx: session_service.offer_setup(tx, now=clock.now()))


async def _prepare_example(db: Database, blobs: BlobStore, clock: Clock) -> None:
    try:
        await example_input.prepare(db, blobs, now=clock.now())
    except StoreUnavailable:
        log.warning("the example input cannot be stored now; the next start tries again")


def _shared_bus() -> PostgresBus:
    from safelight.bus.postgres import PostgresBus  # its driver is not needed by a server on SQLite

    return PostgresBus(secrets.token_hex(8))


async def _warn_if_unavailable(store: Checkable) -> None:
    """A server starts without its store: jobs wait, and requests that need no bytes are answered."""
    try:
        await store.check()
    except StoreUnavailable as error:
        log.error("files cannot be read or stored: %s", error)


async def _sweep_repeatedly(store: Sweepable) -> None:
    while True:
        try:
            await store.sweep()
        except StoreUnavailable as error:
            log.warning("unfinished uploads cannot be removed from the object store: %s", error)
        await asyncio.sleep(SWEEP_S)


async def _follow_the_disk(models: ModelFiles) -> None:
    while True:
        await asyncio.to_thread(models.refresh)
        await asyncio.sleep(REFRESH_S)


PRIVATE = 0o700
_PRIVATE_FOLDERS = ("blobs*", "cache", "downloads")
"""In the data folder; files for workers are in other folders."""


def prepare_data_dir(folder: Path, account: Account | None) -> None:
    """Make the data folder, for this account only; the workers' account may pass through it to its own folders."""
    for missing in reversed([path for path in folder.parents if not path.exists()]):
        missing.mkdir(exist_ok=True)
        missing.chmod(0o755)
    folder.mkdir(mode=PRIVATE, exist_ok=True)
    try:
        if account is not None:
            os.chown(folder, -1, account.gid)
        folder.chmod(PRIVATE if account is None else PRIVATE | 0o010)
        for private in (path for pattern in _PRIVATE_FOLDERS for path in folder.glob(pattern) if path.is_dir()):
            private.chmod(PRIVATE)
    except PermissionError:
        log.warning("%s belongs to another account; its mode is not changed", folder)


def _say_as_whom(settings: Settings, account: Account | None) -> None:
    if account is None and os.geteuid() == 0 and not settings.confinement.worker_user:
        _, reason = default_account(settings)
        why = f" ({reason})" if reason else ""
        log.warning("workers run as root, like this server%s; set `worker_user` to an account with fewer rights", why)


def _hide(database: str) -> None:
    """Hide the database from other accounts: it has the digests of keys, and the data of users."""
    path = database.removeprefix("sqlite:///")
    for file in (path, f"{path}-wal", f"{path}-shm"):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            os.chmod(file, 0o600)
