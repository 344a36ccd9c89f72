"""Downloading files for users: background tasks that survive a restart and continue where they stopped.

The bytes are written to a file named by the task. The rest of a partial file is requested with ``Range`` and
``If-Range``, so a file that has changed at its source is downloaded from the start. A complete file goes into the blob
store and becomes an asset.
"""

import asyncio
import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from safelight.blobs.hashing import hash_file
from safelight.blobs.store import STORE_RETRY, BlobStore
from safelight.core.backoff import Retrier
from safelight.core.clock import Clock
from safelight.core.errors import Invalid, SafelightError, Unavailable
from safelight.core.task import Task, TaskId
from safelight.core.user import Principal
from safelight.db.engine import Database
from safelight.services import asset_library as library
from safelight.services import task as tasks
from safelight.services.asset_library import NewAsset
from safelight.services.egress import Egress, check_url
from safelight.services.model_site import ModelSite, secrets_for

log = logging.getLogger(__name__)

NAME = "asset_download"
FORBIDDEN, NOT_FOUND, TOO_LARGE, UNSUPPORTED = "forbidden", "not_found", "too_large", "unsupported_media_type"
INVALID, NETWORK = "invalid_url", "download_failed"

AT_ONCE = 4
ATTEMPTS = 4
PROGRESS_S = 1.0
_CHUNK = 1 << 20
_MAX_FACTS = 4 << 20
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class DownloadFailed(Exception):
    """``code`` is one of the codes of this module."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Downloads:
    """Mutable: the running downloads. A subclass keeps the files elsewhere."""

    name = NAME
    """Of the tasks."""

    def __init__(
        self,
        *,
        db: Database,
        blobs: BlobStore,
        clock: Clock,
        folder: Path,
        max_bytes: int,
        timeout_s: float,
        egress: Egress,
        sites: Sequence[ModelSite] = (),
    ) -> None:
        self._db = db
        self._blobs = blobs
        self._retry = Retrier(STORE_RETRY, clock, asyncio.sleep)
        self._clock = clock
        self._folder = folder
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._egress = egress
        self._sites = sites
        self._running: dict[TaskId, asyncio.Task[None]] = {}
        self._free = asyncio.Semaphore(AT_ONCE)

    async def resume(self) -> None:
        """Continue the downloads that the last process left unfinished."""
        for task in await self._db.read(tasks.unfinished):
            if task.name == self.name:
                self._spawn(task)

    async def submit(self, who: Principal, *, payload: Mapping[str, Any], key: str | None) -> Task:
        """Start a download, or return the caller's earlier one with the same key. Raises :class:`Invalid` for a bad
        URL."""
        check_url(payload["url"])
        now = self._clock.now()
        task = await self._db.write(lambda tx: tasks.create(tx, who, name=self.name, key=key, payload=payload, now=now))
        if not task.state.is_terminal and task.id not in self._running:
            self._spawn(task)
        return task

    async def wait(self, who: Principal, *, task_id: TaskId) -> Task:
        """Wait until the task has ended. Cancelling the caller does not end the task."""
        if (running := self._running.get(task_id)) is not None:
            await asyncio.wait([running])
        return await self._read(who, task_id)

    async def stop(self) -> None:
        """Stop all downloads; the next start continues them."""
        await self.pause()
        await self._egress.close()

    async def pause(self) -> None:
        """Stop all downloads; the next :meth:`resume` continues them, on this server or another."""
        running = list(self._running.values())
        for work in running:
            work.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _spawn(self, task: Task) -> None:
        work = asyncio.create_task(self._run(task))
        self._running[task.id] = work
        work.add_done_callback(lambda _: self._running.pop(task.id, None))

    async def _run(self, task: Task) -> None:
        who, part = Principal(task.owner_id), self._folder / f"{task.id}.part"
        code, message = NETWORK, "the server failed; see its log"
        try:
            async with self._free, asyncio.timeout(self._timeout_s):
                await self._fetch_and_keep(task, who, part)
                return
        except TimeoutError:
            message = f"the download took longer than {self._timeout_s:g} seconds"
        except DownloadFailed as error:
            code, message = error.code, str(error)
        except Unavailable as error:
            message = error.message
        except SafelightError as error:
            code, message = INVALID, error.message
        except Exception:
            log.exception("the download %s failed", task.id)
        now = self._clock.now()
        await self._db.write(lambda tx: tasks.fail(tx, who, task=task, code=code, message=message, now=now))
        await asyncio.to_thread(part.unlink, missing_ok=True)

    async def _fetch_and_keep(self, task: Task, who: Principal, part: Path) -> None:
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        facts = await self._facts(self._source(task))
        for attempt in range(ATTEMPTS):
            try:
                task = await self._fetch(task, who, part)
                break
            except (OSError, asyncio.IncompleteReadError, _network_error()) as error:
                if attempt == ATTEMPTS - 1:
                    raise DownloadFailed(NETWORK, f"the download was interrupted: {type(error).__name__}") from error
                task = await self._read(who, task.id)
        await self._keep(task, who, part, facts)

    async def _keep(self, task: Task, who: Principal, part: Path, facts: Mapping[str, Any]) -> None:
        """Put the complete file where it belongs, and complete the task."""
        new = await self._new_asset(task, part, facts)
        now = self._clock.now()

        def keep(tx: Any) -> None:
            asset, is_new = library.add(tx, who, new=new, now=now)
            result = {"asset_id": asset.id, "created_new": is_new, "bytes_downloaded": new.size, "progress": 1.0}
            tasks.complete(tx, who, task=task, result=result, now=now)

        await self._db.write(keep)

    async def _fetch(self, task: Task, who: Principal, part: Path) -> Task:
        start = await asyncio.to_thread(_size_of, part)
        headers = {}
        if start and (validator := task.result.get("etag")):
            headers = {"range": f"bytes={start}-", "if-range": str(validator)}
        async with self._egress.get(self._source(task), headers=headers, secrets=self._secrets) as response:
            _check_status(response.status)
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "text/html" and not str(task.payload["name"]).endswith((".html", ".htm")):
                raise DownloadFailed(UNSUPPORTED, "the URL leads to a web page, not to a file")
            offset = _offset(response.headers.get("content-range")) if response.status == 206 else 0
            if offset not in (0, start):
                raise DownloadFailed(NETWORK, "the source sent a different range than requested")
            length = int(response.headers.get("content-length") or 0)
            if offset + length > self._max_bytes:
                raise DownloadFailed(TOO_LARGE, f"the file is larger than {self._max_bytes} bytes")
            etag = response.headers.get("etag", "")
            known = {"etag": "" if etag.startswith("W/") else etag, "bytes_total": offset + length if length else None}
            task = await self._advance(task, who, known | {"bytes_downloaded": offset})
            return await self._write(task, who, part, response, offset=offset)

    def _source(self, task: Task) -> str:
        """The URL that is requested."""
        return str(task.payload["url"])

    async def _write(self, task: Task, who: Principal, part: Path, response: Any, *, offset: int) -> Task:
        size, shown = offset, self._clock.monotonic_s()
        with await asyncio.to_thread(_open_at, part, offset) as file:
            async for chunk in response.content.iter_chunked(_CHUNK):
                size += len(chunk)
                if size > self._max_bytes:
                    raise DownloadFailed(TOO_LARGE, f"the file is larger than {self._max_bytes} bytes")
                await asyncio.to_thread(file.write, chunk)
                if self._clock.monotonic_s() - shown >= PROGRESS_S:
                    shown, total = self._clock.monotonic_s(), task.result.get("bytes_total")
                    progress = {"progress": size / total} if total else {}
                    task = await self._advance(task, who, {"bytes_downloaded": size} | progress)
            await asyncio.to_thread(os.fsync, file.fileno())
        total = task.result.get("bytes_total")
        if total is not None and size != total:
            raise ConnectionResetError(f"received {size} of {total} bytes")
        return task

    async def _new_asset(self, task: Task, part: Path, facts: Mapping[str, Any]) -> NewAsset:
        from safelight.media.sniff import HEAD_BYTES, mime_type_of

        def look() -> tuple[Any, int, bytes]:
            with part.open("rb") as file:
                head = file.read(HEAD_BYTES)
            return hash_file(part), part.stat().st_size, head

        digest, size, head = await asyncio.to_thread(look)
        what = "store the file"
        sha256 = await self._retry.run(partial(self._blobs.adopt, part, digest), what=what)
        if facts.get("sha256") not in (None, sha256):
            raise DownloadFailed(NETWORK, "the file's SHA256 differs from the one that its site reports")
        payload = task.payload
        return NewAsset(
            name=payload["name"],
            digest=digest,
            sha256=sha256,
            size=size,
            mime_type=mime_type_of(payload["name"], head),
            tags=payload.get("tags") or (),
            user_metadata=payload.get("user_metadata"),
            source_metadata={"source_url": payload["url"], **facts},
            preview_id=payload.get("preview_id"),
        )

    async def _facts(self, url: str) -> dict[str, Any]:
        """What the file's site reports about it; empty if the site does not answer, which does not stop the
        download."""
        import json

        for site in self._sites:
            if (facts_url := site.facts_url(url)) is None:
                continue
            with suppress(OSError, ValueError, Invalid, _network_error()):
                async with self._egress.get(facts_url, headers={}, secrets=self._secrets) as response:
                    body = await response.content.read(_MAX_FACTS) if response.status == 200 else b""
                    while body and not response.content.at_eof() and len(body) < _MAX_FACTS:
                        body += await response.content.read(_MAX_FACTS)
                facts = json.loads(body) if body else None
                return site.facts(facts) if isinstance(facts, dict) else {}
        return {}

    async def _read(self, who: Principal, task_id: TaskId) -> Task:
        return await self._db.read(lambda tx: tasks.get(tx, who, task_id=task_id))

    async def _advance(self, task: Task, who: Principal, result: Mapping[str, Any]) -> Task:
        now = self._clock.now()
        return await self._db.write(
            lambda tx: tasks.advance(tx, who, task=task, result=result, now=now), is_durable=False
        )

    def _secrets(self, host: str) -> dict[str, str]:
        return secrets_for(self._sites, host)


def _size_of(part: Path) -> int:
    """Bytes that an earlier attempt received; 0 without one. Blocks."""
    return part.stat().st_size if part.exists() else 0


def _open_at(part: Path, offset: int) -> BinaryIO:
    """Open for writing from ``offset``, and drop what comes after it. Blocks."""
    file: BinaryIO = part.open("r+b" if part.exists() else "w+b", 0)
    file.truncate(offset)
    file.seek(offset)
    return file


def _check_status(status: int) -> None:
    if status in (401, 403):
        raise DownloadFailed(FORBIDDEN, "the source requires credentials or refuses access")
    if status in (404, 410):
        raise DownloadFailed(NOT_FOUND, "the source does not have this file")
    if status not in (200, 206):
        raise DownloadFailed(NETWORK, f"the source responded with status {status}")


def _offset(content_range: str | None) -> int:
    match = _RANGE.fullmatch(content_range or "")
    return int(match[1]) if match else -1


def _network_error() -> type[Exception]:
    import aiohttp

    return aiohttp.ClientError
