"""Makes the backend and the file transport that the settings choose: on this machine, or on a Ray cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

from safelight.blobs.cache import FileCache
from safelight.blobs.hashing import hash_bytes
from safelight.blobs.store import Presigning
from safelight.blobs.stores import OpenStore
from safelight.core.clock import Clock, to_ms
from safelight.core.digest import Digest
from safelight.core.engine_kind import EngineSpec
from safelight.core.worker import SlotId
from safelight.dispatch.backend import Backend
from safelight.dispatch.backends.agent_messages import SlotSpec
from safelight.dispatch.backends.local import LocalBackend, spare_of
from safelight.dispatch.backends.ray import RayBackend
from safelight.dispatch.backends.ray_cluster import Cluster
from safelight.dispatch.backends.slot_dirs import SlotDirs
from safelight.dispatch.files.copied import CopiedFiles
from safelight.dispatch.files.folders import make_private
from safelight.dispatch.files.shared import SharedFiles, input_dirs_of
from safelight.dispatch.files.transfer import Method
from safelight.dispatch.files.transport import FileTransport
from safelight.sandbox.rules import Account, Rules
from safelight.settings import BUNDLED_MODELS, Settings, find_devices, library_paths, process_environment
from safelight.wire.config import EngineConfig

PRESIGNED_S = 3600
"""Time for a worker's machine to begin with a file that it copies."""

log = logging.getLogger(__name__)


def make_backend(
    settings: Settings, account: Account | None, *, presigning: Presigning | None, since: datetime | None = None
) -> Backend:
    """``since``: when this server became the leader, if it is one of several: the latest leader gets the slots of a
    cluster."""
    if settings.workers.backend == "ray":
        return _ray_backend(settings, account, presigning=presigning, since=since)
    return _local_backend(settings, account)


def make_transport(
    settings: Settings, account: Account | None, *, backend: Backend, store: OpenStore, files: FileCache, clock: Clock
) -> FileTransport:
    """The transport between the backend's engines and the store."""
    if backend.copies_files and store.presigning is not None:
        return CopiedFiles(store.presigning, clock=clock)
    staging = (settings.server.data_dir / "staging").resolve()
    return SharedFiles(
        files=files, blobs=store.blobs, staging=staging, clock=clock, slots=backend.slots, account=account
    )


def _local_backend(settings: Settings, account: Account | None) -> LocalBackend:
    devices = settings.workers.devices or find_devices()
    home = Path(settings.confinement.worker_home) if settings.confinement.worker_home else None
    slot_dirs = SlotDirs(
        (settings.server.data_dir / own_folder(settings, "workers")).resolve(), home=home, account=account
    )

    def config(index: int, slot: SlotId, engine: EngineSpec, *, own: SlotId) -> EngineConfig:
        """``own``: the name of the engine's own folders."""
        staging, inputs = _shared_folders(settings, slot, account)
        return engine_config(
            settings,
            slot,
            engine,
            device=_of(devices, index),
            account=account,
            writable=(staging, slot_dirs.home(own), slot_dirs.temp(own), slot_dirs.packs(own)),
            readable=(inputs,),
            pack_copies=str(slot_dirs.packs(own)),
        )

    numbered = list(enumerate(engines_of_slots(settings).items()))
    own_kind = [(index, slot, engine) for index, (slot, engine) in numbered if engine.is_own]
    return LocalBackend(
        {slot: config(index, slot, engine, own=slot) for index, (slot, engine) in numbered},
        spares={
            slot: config(index, slot, engine, own=spare_of(slot))
            for index, slot, engine in own_kind[: settings.workers.spare_workers]
        },
        environment=process_environment(),
        rss_limit_bytes=settings.workers.rss_limit_bytes,
        slot_dirs=slot_dirs,
    )


def engines_of_slots(settings: Settings) -> Mapping[SlotId, EngineSpec]:
    """The engine kind of each slot, in the order of the slots. A slot keeps its name when engines of another kind are
    added or removed: gates and running attempts are found by it."""
    place = settings.workers.backend
    return {
        SlotId(f"{place}-{index}" if engine.is_own else f"{place}-{engine.kind}-{index}"): engine
        for engine in settings.engine_specs
        for index in range(engine.workers)
    }


def own_folder(settings: Settings, folder: str) -> str:
    """The name of a folder that servers with a common data folder must not share, because each clears its own."""
    if not settings.storage.replicas:
        return folder
    return f"{folder}-{blake2b(settings.replica_address.encode(), digest_size=4).hexdigest()}"


def _ray_backend(
    settings: Settings, account: Account | None, *, presigning: Presigning | None, since: datetime | None
) -> RayBackend:
    """Paths are sent to other machines unchanged: models and node packs, and ``data_dir`` unless ``ray_scratch`` is
    set, must be in folders that all machines share."""
    server = hash_bytes(str(settings.server.data_dir.resolve()).encode())[-16:]
    scratch = Path(settings.ray.ray_scratch, server) if settings.ray.ray_scratch else None

    def spec(index: int, slot: SlotId, engine: EngineSpec) -> SlotSpec:
        writable: tuple[Path, ...] = ()
        readable: tuple[Path, ...] = ()
        slot_dirs = settings.server.data_dir / "workers"
        if scratch is None:
            staging, inputs = _shared_folders(settings, slot, account)
            writable, readable = (staging,), (inputs,)
        else:  # an agent adds its own folders
            slot_dirs = scratch / "workers"
        device = _of(settings.workers.devices, index)
        return SlotSpec(
            config=engine_config(
                settings, slot, engine, device=device, account=account, writable=writable, readable=readable
            ),
            slot_dirs=str(slot_dirs.resolve()),
            home=settings.confinement.worker_home,
            rss_limit_bytes=settings.workers.rss_limit_bytes,
            has_threads="num_cpus" in settings.ray.ray_amounts,
            scratch="" if scratch is None else str(scratch),
            scratch_bytes=settings.storage.blob_cache_bytes,
        )

    async def presign(method: Method, digest: Digest) -> str | None:
        if presigning is None:
            return None
        return await presigning.sign_transfer(method, digest, expires_s=PRESIGNED_S)

    specs = {slot: spec(index, slot, engine) for index, (slot, engine) in enumerate(engines_of_slots(settings).items())}
    return RayBackend(
        specs,
        cluster=Cluster(settings.ray.ray_address, settings.ray.ray_namespace, settings.ray.ray_amounts or None),
        server=server,
        labels=dict(zip(specs, settings.labels, strict=True)),
        epoch=None if since is None else to_ms(since) * 1_000_000,
        presigner=presign,
    )


def _shared_folders(settings: Settings, slot: SlotId, account: Account | None) -> tuple[Path, Path]:
    """The folders of the slot's outputs and inputs. They are made before the first engine starts: an engine cannot be
    allowed a folder that does not exist."""
    staging = settings.server.data_dir / "staging"
    own = staging / slot, input_dirs_of(staging) / slot
    make_private(own[0], account)
    own[1].mkdir(parents=True, exist_ok=True)
    for folder in (own[1], own[1].parent):
        folder.chmod(0o755)
    return own


def engine_config(
    settings: Settings,
    slot: SlotId,
    engine: EngineSpec,
    *,
    device: str,
    account: Account | None,
    writable: tuple[Path, ...],
    readable: tuple[Path, ...],
    pack_copies: str = "",
) -> EngineConfig:
    """``writable``: the engine's own folders and that of its outputs. ``readable``: the folder of its inputs."""
    root = Path(os.path.expanduser(engine.root)) if engine.root else None
    pack_folders = settings.pack_folders(engine)
    copies = (Path(settings.models.model_copies),) if settings.models.model_copies and root is None else ()
    packs = [
        path for folder in pack_folders for name in settings.packs.writable_packs if (path := folder / name).exists()
    ]
    programs = (Path(path) for path in library_paths(process_environment()))
    rules = Rules(
        account=account,
        network=settings.confinement.worker_network,
        writable=_absolute((*writable, *packs, *settings.confinement.worker_writable, *copies)),
        readable=_absolute(
            (
                *readable,
                *pack_folders,
                *((settings.packs.libraries,) if engine.is_own and settings.packs.libraries.is_dir() else ()),
                *(() if root is None else (root,)),
                *settings.model_roots,
                *(place.path for place in settings.extra_models),
                *settings.confinement.worker_readable,
                *programs,
            )
        ),
        own_processes=True,
        address_space_bytes=settings.confinement.worker_address_space_bytes,
        file_bytes=settings.confinement.worker_file_bytes,
    )
    return EngineConfig(
        slot=slot,
        kind=engine.kind,
        root="" if root is None else os.path.abspath(root),
        python=os.path.expanduser(engine.python),
        arguments=engine.arguments,
        device=device,
        node_packages=settings.packs.node_packages if engine.is_own else (),
        custom_nodes=_absolute(pack_folders),
        pack_libraries=str(settings.packs.libraries) if engine.is_own else "",
        pack_copies=pack_copies,
        writable_packs=settings.packs.writable_packs,
        model_roots=_absolute(settings.model_roots if engine.is_own else _without_bundled(settings.model_roots)),
        extra_models=tuple((place.folder, str(place.path), place.is_default) for place in settings.extra_models),
        cache_bytes=settings.workers.cache_bytes,
        model_copies=settings.models.model_copies if engine.is_own else "",
        model_copies_bytes=settings.models.model_copies_bytes,
        lease_s=settings.workers.lease_s,
        rules=rules,
    )


def _without_bundled(roots: Sequence[Path]) -> tuple[Path, ...]:
    """The roots whose models any engine can load: the bundled model is of a family that only Safelight knows."""
    return tuple(root for root in roots if root != BUNDLED_MODELS)


def _of(devices: Sequence[str], index: int) -> str:
    return devices[index % len(devices)] if devices else ""


def _absolute(paths: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(str(path.resolve()) for path in paths)
