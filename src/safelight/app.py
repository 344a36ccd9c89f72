"""The server's composition root: the one place that knows every part, and the order in which they start and end."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from starlette.types import ASGIApp

from safelight.api import http
from safelight.blobs.hashing import hash_bytes
from safelight.blobs.local import LocalBlobStore
from safelight.bus.memory import MemoryBus
from safelight.core.clock import Clock, SystemClock
from safelight.core.digest import Digest
from safelight.core.worker import SlotId
from safelight.db.engine import Database, is_postgres
from safelight.dispatch.backend import Backend
from safelight.dispatch.dispatcher import Dispatcher
from safelight.dispatch.local import LocalBackend, find_devices
from safelight.dispatch.outpost import Charge
from safelight.dispatch.ray import Cluster, RayBackend
from safelight.dispatch.rooms import Rooms
from safelight.sandbox.rules import Account, Rules
from safelight.services import access as access_service
from safelight.services import node as node_service
from safelight.services import session as session_service
from safelight.services import user as user_service
from safelight.services.catalogue import LiveCatalogue
from safelight.services.log import LogBuffer
from safelight.services.model import REFRESH_S, ModelIndex
from safelight.settings import Settings, check_accounts, process_environment, worker_account
from safelight.web.packages import Packages, find_packages
from safelight.web.packs import read_packs
from safelight.web.site import Web
from safelight.wire.config import EngineConfig
from safelight.wire.messages import Ready

log = logging.getLogger(__name__)


class App:
    """A running server without its socket. Made by :meth:`start`, ended by :meth:`stop`."""

    def __init__(
        self,
        *,
        db: Database,
        dispatcher: Dispatcher,
        web: Web,
        logs: LogBuffer,
        models: ModelIndex,
        face: http.Http,
        setup_token: str | None,
    ) -> None:
        self._db = db
        self._dispatcher = dispatcher
        self._web = web
        self._logs = logs
        self._face = face
        self._following = [asyncio.create_task(_follow_the_disk(models)), asyncio.create_task(face.follow_access())]
        self.setup_token = setup_token
        """Where nobody can come in yet: the secret of the link that makes the first administrator."""

    @classmethod
    async def start(cls, settings: Settings) -> Self:
        """Open the database, then let the workers start in the background: the server answers before they are up."""
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        account = worker_account(settings)
        backend = _backend(settings, account)
        clock = SystemClock()
        bus = MemoryBus()
        logs = LogBuffer(bus)
        logging.getLogger().addHandler(logs)
        blobs = LocalBlobStore(settings.data_dir / "blobs")
        models = ModelIndex([root.resolve() for root in settings.model_roots])
        catalogue = LiveCatalogue(models)
        db = await Database.open(settings.database, on_commit=bus.publish, is_server=True)
        blobs.sweep()
        try:
            setup_token = await _prepare_accounts(db, settings, clock)
        except BaseException:
            await db.close()
            raise
        if account is not None and not is_postgres(settings.database):
            _hide(settings.database)
        if known := await db.read(node_service.load_latest):
            catalogue.publish(list(known.values()), digest="restored")

        web = Web(find_packages() if settings.web else Packages(), cache_dir=settings.data_dir / "cache" / "web")

        said: set[str] = set()

        def on_ready(ready: Ready, digest: Digest) -> None:
            catalogue.publish(ready.nodes, digest=digest)
            web.use_packs(read_packs(settings.custom_nodes, web_directories=ready.web_directories))
            for sentence in set(ready.unkept_rules) - said:
                log.warning("workers are less confined than they should be; %s", sentence)
            said.update(ready.unkept_rules)
            for pack, reason in ready.failed_packs.items():
                log.warning("the node pack %s could not be imported: %s", pack, reason)

        dispatcher = Dispatcher(
            db=db,
            bus=bus,
            blobs=blobs,
            backend=backend,
            labels=dict(zip(backend.slots, settings.labels, strict=True)),
            affinity_wait_s=settings.affinity_wait_s,
            account=account,
            staging=(settings.data_dir / "staging").resolve(),
            clock=clock,
            cancel_grace_s=settings.cancel_grace_s,
            on_ready=on_ready,
        )
        face = http.create(
            settings=settings,
            clock=clock,
            db=db,
            bus=bus,
            blobs=blobs,
            catalogue=catalogue,
            models=models,
            dispatcher=dispatcher,
            web=web,
            logs=logs,
        )
        await dispatcher.start()
        await web.start()
        await face.start()
        return cls(db=db, dispatcher=dispatcher, web=web, logs=logs, models=models, face=face, setup_token=setup_token)

    @property
    def asgi(self) -> ASGIApp:
        return self._face

    def close_sockets(self) -> None:
        self._face.close_sockets()

    async def stop(self) -> None:
        for task in self._following:
            task.cancel()
        logging.getLogger().removeHandler(self._logs)
        await self._face.stop()
        await self._dispatcher.stop()
        await self._web.close()
        await self._db.close()


async def _prepare_accounts(db: Database, settings: Settings, clock: Clock) -> str | None:
    """Raises :class:`~safelight.settings.InvalidSetting` where strangers would be let in."""
    await db.write(lambda tx: user_service.ensure_local(tx, now=clock.now()))
    state = await db.read(access_service.look)
    check_accounts(settings, has_accounts=state.has_accounts)
    if not settings.accounts or state.has_accounts:
        return None
    return await db.write(lambda tx: session_service.offer_setup(tx, now=clock.now()))


async def _follow_the_disk(models: ModelIndex) -> None:
    while True:
        await asyncio.to_thread(models.refresh)
        await asyncio.sleep(REFRESH_S)


def _hide(database: str) -> None:
    """From the account of the workers: a file that is made for all to read is so for them as well."""
    path = database.removeprefix("sqlite:///")
    for file in (path, f"{path}-wal", f"{path}-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.chmod(file, 0o600)


def _backend(settings: Settings, account: Account | None) -> Backend:
    return _ray_backend(settings, account) if settings.backend == "ray" else _local_backend(settings, account)


def _local_backend(settings: Settings, account: Account | None) -> LocalBackend:
    if os.geteuid() == 0 and not settings.worker_user:
        log.warning("workers run as root, as this server does; `worker_user` names an account with fewer rights")
    devices = settings.devices or find_devices()
    rooms = Rooms(_rooms(settings), account=account)

    def config(index: int) -> EngineConfig:
        slot = SlotId(f"local-{index}")
        own = (rooms.home, rooms.temp(slot))
        return _engine(settings, slot, device=_of(devices, index), account=account, writable=own)

    return LocalBackend(
        {SlotId(engine.slot): engine for engine in map(config, range(settings.workers))},
        environment=process_environment(),
        rss_limit_bytes=settings.rss_limit_bytes,
        rooms=rooms,
    )


def _ray_backend(settings: Settings, account: Account | None) -> RayBackend:
    """Paths go to other machines as they are here: ``data_dir``, models and node packs lie on a folder of all."""

    def charge(index: int) -> Charge:
        slot = SlotId(f"ray-{index}")
        return Charge(
            config=_engine(settings, slot, device=_of(settings.devices, index), account=account),
            rooms=str(_rooms(settings)),
            rss_limit_bytes=settings.rss_limit_bytes,
            has_threads="num_cpus" in settings.ray_amounts,
        )

    charges = {SlotId(one.config.slot): one for one in map(charge, range(settings.workers))}
    return RayBackend(
        charges,
        cluster=Cluster(settings.ray_address, settings.ray_namespace, settings.ray_amounts or None),
        server=hash_bytes(str(settings.data_dir.resolve()).encode())[-16:],
        labels=dict(zip(charges, settings.labels, strict=True)),
    )


def _engine(
    settings: Settings, slot: SlotId, *, device: str, account: Account | None, writable: tuple[Path, ...] = ()
) -> EngineConfig:
    """``writable``: folders of the engine's own."""
    rules = Rules(
        account=account,
        network=settings.worker_network,
        writable=_absolute(
            (settings.data_dir / "staging", *writable, *settings.custom_nodes, *settings.worker_writable)
        ),
        address_space_bytes=settings.worker_address_space_bytes,
        file_bytes=settings.worker_file_bytes,
    )
    return EngineConfig(
        slot=slot,
        device=device,
        node_packages=settings.node_packages,
        custom_nodes=_absolute(settings.custom_nodes),
        model_roots=_absolute(settings.model_roots),
        cache_bytes=settings.cache_bytes,
        lease_s=settings.lease_s,
        rules=rules,
    )


def _rooms(settings: Settings) -> Path:
    return (settings.data_dir / "workers").resolve()


def _of(devices: Sequence[str], index: int) -> str:
    return devices[index % len(devices)] if devices else ""


def _absolute(paths: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(str(path.resolve()) for path in paths)
