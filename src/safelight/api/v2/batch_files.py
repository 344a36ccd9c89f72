"""The files that the jobs of a batch have made: all as one zip, and the pictures as a contact sheet."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from starlette.responses import Response, StreamingResponse

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.byte_headers import byte_headers
from safelight.blobs.store import BlobMissing
from safelight.core.batch import BatchId, InvalidBatch, Variations
from safelight.services import batch as batches
from safelight.services.batch import BatchJob

if TYPE_CHECKING:
    from safelight.media.contact_sheet import Cell

AT_ONCE = 200
"""Jobs that are read at once."""
MAX_CELLS = 400
"""Pictures of a contact sheet."""


async def get_batch_results(app: App, request: ApiRequest) -> Response:
    """A zip of the files that exist now, named ``<index>-<file name>``, and ``jobs.json`` with the values of each job.
    The files are not compressed: pictures and videos are."""
    who, batch_id = request.who, BatchId(request.params["id"])
    await app.db.read(lambda tx: batches.get(tx, who, batch_id=batch_id))
    headers = byte_headers(f"batch-{batch_id}.zip", "application/zip")
    return StreamingResponse(_zipped(app, request, batch_id), headers=headers)


async def _zipped(app: App, request: ApiRequest, batch_id: BatchId) -> AsyncIterator[bytes]:
    out = _Written()
    listed: list[dict[str, Any]] = []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        async for job in _jobs(app, request, batch_id):
            entry = {"index": job.index, "id": job.job.shown_id, "state": job.job.state.value, "values": job.values}
            names: list[str] = []
            for made in job.files:
                asset = made.asset
                name = f"{job.index:05d}-{len(names)}-{asset.file.filename if asset.file else asset.name}"
                chunks = app.blobs.read(asset.digest)
                try:
                    first = await anext(chunks)
                except (BlobMissing, StopAsyncIteration):
                    continue
                names.append(name)
                with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                    member.write(first)
                    yield out.take()
                    async for chunk in chunks:
                        member.write(chunk)
                        yield out.take()
            listed.append(entry | {"files": names})
        archive.writestr("jobs.json", json.dumps(listed, indent=1))
    yield out.take()


async def _jobs(app: App, request: ApiRequest, batch_id: BatchId) -> AsyncIterator[BatchJob]:
    who, start = request.who, 0
    while True:
        first = start
        some = await app.db.read(
            lambda tx, first=first: batches.jobs_of(tx, who, batch_id=batch_id, start=first, limit=AT_ONCE)  # type: ignore[misc]
        )
        for job in some:
            yield job
        if len(some) < AT_ONCE:
            return
        start = some[-1].index + 1


class _Written(io.RawIOBase):
    """What a zip has written since the last :meth:`take`; it cannot seek, so that the zip is written in one pass."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


async def get_contact_sheet(app: App, request: ApiRequest) -> Response:
    """A PNG: the last axis from left to right, the others from top to bottom; each picture under its index."""
    who, batch_id = request.who, BatchId(request.params["id"])
    view = await app.db.read(lambda tx: batches.get(tx, who, batch_id=batch_id))
    if view.batch.total > MAX_CELLS:
        raise InvalidBatch(f"a contact sheet has at most {MAX_CELLS} pictures, and the batch {view.batch.total} jobs")
    varied = await app.db.read(lambda tx: batches.variations(tx, who, batch_id=batch_id))
    jobs = await app.db.read(lambda tx: batches.jobs_of(tx, who, batch_id=batch_id, limit=MAX_CELLS))
    columns, rows = _headings(varied)
    title = ", ".join(str(place) for place in varied.places)
    async with AsyncExitStack() as stack:
        cells = await _cells(app, stack, varied, jobs)
        body = await asyncio.to_thread(_drawn, cells, columns, rows, title)
    return Response(body, headers=byte_headers(f"batch-{batch_id}.png", "image/png"))


def _drawn(cells: "Sequence[Cell]", columns: Sequence[str], rows: Sequence[str], title: str) -> bytes:
    from safelight.media.contact_sheet import contact_sheet

    return contact_sheet(cells, columns=columns, rows=rows, title=title)


async def _cells(app: App, stack: AsyncExitStack, varied: Variations, jobs: Sequence[BatchJob]) -> "Sequence[Cell]":
    from safelight.media.contact_sheet import Cell

    by_index = {job.index: job for job in jobs}
    cells = []
    for index in range(len(varied)):
        job = by_index.get(index)
        pictures = [f.asset for f in job.files if f.asset.mime_type.startswith("image/")] if job is not None else []
        path = await stack.enter_async_context(app.files.pinned(pictures[0].digest)) if pictures else None
        label = f"{index}" if job is None or path is not None else f"{index} {job.job.state.value}"
        cells.append(Cell(label, path))
    return cells


def _headings(varied: Variations) -> tuple[Sequence[str], Sequence[str]]:
    """The columns are the values of the last axis; a table, and an axis alone, are laid out as a square."""
    total = len(varied)
    if varied.rows or len(varied.places) == 1:
        side = max(1, min(20, round(total**0.5 + 0.49)))
        return [""] * side, [""] * -(-total // side)
    last = [str(value) for value in varied.axes[-1]]
    rows = [", ".join(map(str, varied.values(start)[:-1])) for start in range(0, total, len(last))]
    return last, rows
