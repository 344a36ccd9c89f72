"""Importing models: an administrator names a URL, and the server downloads the file into one of its model folders.

The download is a background task of the administrator, with progress, that survives a restart. The site's facts
(license, author, base model) stay in the task's result, from which the list of models shows them.
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from safelight.core.errors import Conflict, Forbidden, Invalid, NotFound
from safelight.core.model_folders import MODEL_FOLDERS, canonical, with_slashes
from safelight.core.task import Task
from safelight.core.user import Principal
from safelight.db import all_jobs as job_rows
from safelight.db import task as task_rows
from safelight.db.transaction import Transaction
from safelight.media import safetensors_header
from safelight.media.media_errors import UnreadableWeights
from safelight.services import audit
from safelight.services import task as tasks
from safelight.services.download import NETWORK, DownloadFailed, Downloads
from safelight.services.model import ModelFile, ModelFiles

NAME = "model_import"
HUGGINGFACE = "https://huggingface.co"
_SHOWN_IMPORTS = 1000
_MAX_HEADER = 32 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """What a site says about a file before it is downloaded. ``size``: in bytes; ``None``: unknown."""

    size: int | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """``architecture``: as the file's own header names it. ``last_used_at``: when a job that names it last began.
    ``source``: of an imported file, the URL and what its site says about it."""

    file: ModelFile
    size: int
    architecture: str
    last_used_at: datetime | None
    source: Mapping[str, Any]


class ModelImports(Downloads):
    """Downloads into the model folders below ``root``. ``mirror``: requested instead of huggingface.co."""

    name = NAME

    def __init__(self, *, models: ModelFiles, root: Path, mirror: str = HUGGINGFACE, **rest: Any) -> None:
        super().__init__(**rest)
        self._models = models
        self._root = root
        self._mirror = mirror.rstrip("/")

    async def start(self, who: Principal, *, url: str, folder: str, name: str) -> Task:
        """Raises :class:`Forbidden`, :class:`Invalid` and :class:`Conflict`. A running import of the same file is
        returned, not started twice."""
        require_admin(who)
        folder = canonical(folder)
        name = _checked(folder, name)
        if self._models.find_in(folder, name) is not None:
            raise Conflict(f"there is already a model {name!r} in the folder {folder!r}")
        payload = {"url": url, "folder": folder, "name": name}
        for task in await self._db.read(tasks.unfinished):
            if task.name == NAME and task.owner_id == who.user_id and task.payload == payload:
                return task
        task = await self.submit(who, payload=payload, key=None)
        details = {"url": url.partition("?")[0]}  # a query may hold a token
        now = self._clock.now()
        subject = f"{folder}/{name}"
        await self._db.write(
            lambda tx: audit.write(tx, who, action="model.import", subject=subject, details=details, now=now)
        )
        return task

    async def source(self, who: Principal, *, url: str) -> Source:
        """What the file's site says about it. Raises :class:`Forbidden`, and :class:`NotFound` without an answer."""
        require_admin(who)
        url = self._requested(url)
        try:
            async with self._egress.get(url, headers={}, secrets=self._secrets) as response:
                if response.status != 200:
                    raise NotFound(f"the source responded with status {response.status}")
                size = int(response.headers.get("content-length") or 0) or None
        except OSError as error:
            raise NotFound(f"the source does not answer: {type(error).__name__}") from None
        return Source(size, await self._facts(url))

    def _requested(self, url: str) -> str:
        return self._mirror + url.removeprefix(HUGGINGFACE) if url.startswith(f"{HUGGINGFACE}/") else url

    def _source(self, task: Task) -> str:
        return self._requested(super()._source(task))

    async def _keep(self, task: Task, who: Principal, part: Path, facts: Mapping[str, Any]) -> None:
        path = self._root / _place(task.payload["folder"]) / task.payload["name"]
        sha256 = await asyncio.to_thread(_sha256, part)
        if facts.get("sha256") not in (None, sha256):
            raise DownloadFailed(NETWORK, "the file's SHA256 differs from the one that its site reports")
        size = await asyncio.to_thread(_move, part, path)
        await asyncio.to_thread(self._models.refresh)
        result = {"bytes_downloaded": size, "progress": 1.0, "sha256": sha256, "facts": dict(facts)}
        now = self._clock.now()
        await self._db.write(lambda tx: tasks.complete(tx, who, task=task, result=result, now=now))


def imports(tx: Transaction, who: Principal) -> Sequence[Task]:
    """The latest imports of all administrators, newest first."""
    require_admin(who)
    return task_rows.named(tx.conn, name=NAME, limit=_SHOWN_IMPORTS)


def last_uses(tx: Transaction, who: Principal) -> Mapping[str, datetime]:
    """When a job that names a model last began, by the model's name."""
    require_admin(who)
    return job_rows.last_uses_of_models(tx.conn)


def listed(
    models: ModelFiles, *, uses: Mapping[str, datetime], imported: Sequence[Task], is_shown: Callable[[str], bool]
) -> Sequence[ListedModel]:
    """The model files on disk, by folder and name. ``is_shown``: says which folders. Blocks: it reads headers."""
    sources = {
        (task.payload["folder"], task.payload["name"]): {
            "url": task.payload["url"],
            **{key: value for key, value in dict(task.result.get("facts") or {}).items() if key != "tags"},
        }
        for task in reversed(imported)
        if task.state.value == "completed"
    }
    return [
        ListedModel(
            file=file,
            size=file.size(),
            architecture=_architecture(file),
            last_used_at=uses.get(file.name),
            source=sources.get((folder, file.name), {}),
        )
        for folder in models.folders()
        if is_shown(folder)
        for file in models.files(folder)
    ]


def require_admin(who: Principal) -> None:
    if not who.is_admin:
        raise Forbidden("only administrators may import models")


def _checked(folder: str, name: str) -> str:
    """The name below its folder. Raises :class:`Invalid` for a folder or a name that is not one."""
    known = MODEL_FOLDERS.get(folder)
    if known is None or "folder" in known.extensions:
        raise Invalid(f"invalid model folder {folder!r}")
    name = with_slashes(name)
    parts = PurePosixPath(name).parts
    is_path = (
        bool(parts) and len(name) <= 255 and not any(part in ("..", "/") or part.startswith(".") for part in parts)
    )
    if not is_path or not name.isprintable() or ":" in name:
        raise Invalid(f"invalid model name {name!r}")
    if "" not in known.extensions and not name.lower().endswith(known.extensions):
        raise Invalid(
            f"invalid model name {name!r}: the folder {folder!r} has files that end in {', '.join(known.extensions)}"
        )
    return name


def _place(folder: str) -> str:
    """The directory of a folder that has its name, else its first one."""
    places = MODEL_FOLDERS[folder].places
    return folder if folder in places else places[0]


def _move(part: Path, path: Path) -> int:
    """Move the file, which appears complete or not at all, and return its size. Blocks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise DownloadFailed("invalid_url", f"there is already a file {path.name!r}")
    near = path.with_name(f".{path.name}.{part.name}")
    try:
        shutil.move(part, near)
        near.chmod(0o644)
        os.replace(near, path)
    finally:
        near.unlink(missing_ok=True)
    return path.stat().st_size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _architecture(file: ModelFile) -> str:
    try:
        stat = file.path.stat()
    except OSError:
        return ""
    return _read_architecture(file.path, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _read_architecture(path: Path, _changed_ns: int) -> str:
    try:
        with path.open("rb") as opened:
            metadata = safetensors_header.read(opened, name=path.name, max_bytes=_MAX_HEADER).metadata or {}
    except (OSError, UnreadableWeights):
        return ""
    return str(metadata.get("modelspec.architecture") or metadata.get("ss_base_model_version") or "")
