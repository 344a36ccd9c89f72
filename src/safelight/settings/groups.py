"""All settings, in their groups, and the values that follow from several of them."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from safelight.blobs.stores import BlobStoreConfig
from safelight.comfyui.installation import EXTRA_MODEL_PATHS
from safelight.core.engine_kind import EngineKind, EngineSpec, preferred_first, read_engines
from safelight.core.model_folders import ExtraPlace
from safelight.core.pool import Pool, SizeClass, read_classes, read_labels, read_limits
from safelight.settings.access import AccessSettings
from safelight.settings.confinement import ConfinementSettings
from safelight.settings.engines import EngineSettings
from safelight.settings.housekeeping import HousekeepingSettings
from safelight.settings.limits import LimitSettings
from safelight.settings.models import ModelSettings, read_places
from safelight.settings.packs import PackSettings
from safelight.settings.scheduling import SchedulingSettings
from safelight.settings.server import ServerSettings
from safelight.settings.storage import StorageSettings
from safelight.settings.telemetry import TelemetrySettings
from safelight.settings.workers import RaySettings, WorkerSettings

BUNDLED_MODELS = Path(__file__).parents[1] / "bundled" / "models"
"""The root of the models that are part of the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, with its default. Sources name settings without their groups (``load.py``)."""

    server: ServerSettings = field(default_factory=ServerSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    packs: PackSettings = field(default_factory=PackSettings)
    engines: EngineSettings = field(default_factory=EngineSettings)
    workers: WorkerSettings = field(default_factory=WorkerSettings)
    ray: RaySettings = field(default_factory=RaySettings)
    scheduling: SchedulingSettings = field(default_factory=SchedulingSettings)
    confinement: ConfinementSettings = field(default_factory=ConfinementSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    housekeeping: HousekeepingSettings = field(default_factory=HousekeepingSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Settings by their names, without their groups: ``Settings.of(port=0, workers=2)``."""
        return cls().changed(**values)

    def changed(self, **values: Any) -> Self:
        """These settings with other values, by their names. Raises :class:`KeyError` for an unknown name."""
        by_group: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            by_group.setdefault(GROUP_OF[name], {})[name] = value
        return replace(self, **{group: replace(getattr(self, group), **some) for group, some in by_group.items()})

    @property
    def database(self) -> str:
        """The URL of the database."""
        return self.storage.database_url or f"sqlite:///{(self.server.data_dir / 'safelight.db').resolve()}"

    @property
    def blobs(self) -> BlobStoreConfig:
        """Where files are stored."""
        storage = self.storage
        return BlobStoreConfig(
            folder=self.server.data_dir / "blobs",
            url=storage.blob_store,
            endpoint=storage.blob_endpoint,
            region=storage.blob_region,
            access_key=storage.blob_access_key,
            secret_key=storage.blob_secret_key,
            session_token=storage.blob_session_token,
            public_endpoint=storage.blob_public_endpoint,
        )

    @property
    def replica_address(self) -> str:
        """The URL at which other replicas reach this server."""
        if self.storage.replica_url:
            return self.storage.replica_url
        server = self.server
        host = socket.gethostname() if server.host in ("0.0.0.0", "::", "") else server.host
        return f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"

    @property
    def model_roots(self) -> tuple[Path, ...]:
        """The roots of model folders: those of the settings, those of every ComfyUI, and the bundled one, whose model
        only Safelight's own engine can load."""
        own = self.models.models_dir or (self.server.data_dir / "models",)
        bundled = (BUNDLED_MODELS,) if any(spec.is_own for spec in self.engine_specs) else ()
        return (*own, *(root / "models" for root in self._comfyui_roots), *bundled)

    @property
    def extra_models(self) -> tuple[ExtraPlace, ...]:
        """The folders of ``extra_model_paths``, and those that each ComfyUI names in a file of its own. Raises
        :class:`InvalidSetting` for a file that cannot be read."""
        given = self.models.extra_model_paths
        files = [*([Path(given)] if given else ()), *(root / EXTRA_MODEL_PATHS for root in self._comfyui_roots)]
        return tuple(place for path in files if given == str(path) or path.is_file() for place in read_places(path))

    @property
    def _comfyui_roots(self) -> Sequence[Path]:
        return [Path(os.path.expanduser(spec.root)) for spec in self.engine_specs if not spec.is_own]

    @property
    def engine_specs(self) -> Sequence[EngineSpec]:
        """The engine kinds in the order of their slots. Raises :class:`Invalid`, as all below do."""
        settings = self.engines
        return read_engines(
            settings.engines, settings.engine_workers, settings.engine_arguments, workers=self.workers.workers
        )

    @property
    def engine_order(self) -> Sequence[EngineKind]:
        """The engine kinds, the preferred first."""
        return preferred_first([spec.kind for spec in self.engine_specs], self.engines.engine_preference)

    def pack_folders(self, engine: EngineSpec) -> tuple[Path, ...]:
        """The folders of the node packs that engines of that kind import."""
        if engine.is_own:
            return self.packs.custom_nodes
        return (Path(os.path.expanduser(engine.root), "custom_nodes"),)

    @property
    def slot_count(self) -> int:
        return sum(spec.workers for spec in self.engine_specs)

    @property
    def labels(self) -> Sequence[frozenset[Pool]]:
        """The labels of each worker, in order."""
        return read_labels(self.scheduling.pools, slots=self.slot_count)

    @property
    def pool_names(self) -> frozenset[Pool]:
        return frozenset().union(*self.labels)

    @property
    def size_classes(self) -> Sequence[SizeClass]:
        return read_classes(self.scheduling.pool_sizes, pools=self.pool_names)

    @property
    def run_limits(self) -> Mapping[Pool, float]:
        """The run limit of each pool that has one, in seconds."""
        return read_limits(self.scheduling.pool_run_limits, pools=self.pool_names)


GROUPS: Mapping[str, type[Any]] = {group.name: group.default_factory for group in fields(Settings)}  # type: ignore[misc]
"""The groups by their names in :class:`Settings`."""
GROUP_OF: Mapping[str, str] = {one.name: name for name, group in GROUPS.items() for one in fields(group)}
"""The group of each setting."""
