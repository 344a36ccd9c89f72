"""Batches: accepted as one row, and made into jobs piece by piece: the queue stays short, and the writer free."""

import builtins
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from safelight.core.batch import Batch, BatchId, Place, Variations
from safelight.core.engine_kind import as_text, from_text
from safelight.core.errors import NotFound
from safelight.core.event import BatchChanged
from safelight.core.ids import AssetId
from safelight.core.job import JobSummary
from safelight.core.pool import Pool
from safelight.core.user import Principal
from safelight.db import batch as rows
from safelight.db import job_files
from safelight.db.batch import BatchPage
from safelight.db.transaction import Transaction
from safelight.services import gate as gates
from safelight.services import idempotency, job_end
from safelight.services import job as jobs
from safelight.services import quota as quotas
from safelight.services.job import SubmitJob
from safelight.services.job_view import MadeFile, files_of
from safelight.services.placement import Placement

WINDOW = 400
"""Jobs of a batch that wait at the same time; the others are made when these have begun to end."""
PIECE = 100
"""Jobs that one transaction makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """``command``: the job of the graph as it is; each job of the batch has the values of ``variations`` in it.
    ``converted``: for each place the values as a prompt holds them, by their ``repr``."""

    command: SubmitJob
    variations: Variations
    converted: Sequence[Mapping[str, Any]]
    labels: Mapping[str, str]
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class BatchView:
    """``running`` and ``waiting``: jobs in these states; those that are not made yet wait as well."""

    batch: Batch
    running: int

    @property
    def waiting(self) -> int:
        return self.batch.total - self.batch.ended - self.running


@dataclass(frozen=True, slots=True)
class BatchJob:
    """``values``: by the place in the graph, in their order."""

    index: int
    job: JobSummary
    values: Mapping[str, Any]
    files: Sequence[MadeFile]


def create(tx: Transaction, who: Principal, *, new: NewBatch, now: datetime) -> Batch:
    """Accept a batch. Raises what :func:`safelight.services.job.submit` raises for its jobs together."""
    if new.idempotency_key is not None:
        idempotency.claim(tx, who, key=new.idempotency_key, now=now)
    gates.admit_job(tx)
    total = len(new.variations)
    quotas.admit_jobs(tx, who, count=total)
    batch = Batch(id=BatchId(str(uuid.uuid4())), owner_id=who.user_id, created_at=now, total=total, labels=new.labels)
    rows.add(tx.conn, who.user_id, new=batch, plan=_plan(new))
    tx.emit(BatchChanged(who.user_id, batch.id))
    return batch


def get(tx: Transaction, who: Principal, *, batch_id: BatchId) -> BatchView:
    batch = rows.find(tx.conn, who.user_id, batch_id=batch_id)
    if batch is None:
        raise NotFound(f"there is no batch {batch_id!r}")
    return BatchView(batch, rows.count_running(tx.conn, who.user_id, batch_id=batch_id))


def list(tx: Transaction, who: Principal, *, before: int | None, limit: int) -> BatchPage:
    return rows.page(tx.conn, who.user_id, before=before, limit=limit)


def variations(tx: Transaction, who: Principal, *, batch_id: BatchId) -> Variations:
    """The inputs that differ, and their values."""
    get(tx, who, batch_id=batch_id)
    return _variations(rows.plan_of(tx.conn, who.user_id, batch_id=batch_id))


def jobs_of(
    tx: Transaction, who: Principal, *, batch_id: BatchId, start: int = 0, limit: int
) -> builtins.list[BatchJob]:
    """The jobs from the index ``start`` on that have been made, with their files."""
    varied = variations(tx, who, batch_id=batch_id)
    names = [str(place) for place in varied.places]
    found = []
    for seq, job in rows.jobs(tx.conn, who.user_id, batch_id=batch_id, start=start, limit=limit):
        index = job.batch_index or 0
        values = dict(zip(names, varied.values(index), strict=True))
        outputs = job_files.outputs(tx.conn, seq, attempt=job.attempt) if job.attempt else []
        found.append(BatchJob(index, job, values, files_of(tx, who, outputs)))
    return found


def cancel(tx: Transaction, who: Principal, *, batch_id: BatchId, now: datetime) -> bool:
    """Make no more jobs, cancel up to 500 that wait, and request that running ones end. Returns whether more wait."""
    batch = get(tx, who, batch_id=batch_id).batch
    if batch.ended_at is not None:
        return False
    if not batch.cancel_requested:
        job_end.make_no_more(tx, batch, now=now)
        for job_id in rows.running_ids(tx.conn, who.user_id, batch_id=batch_id):
            jobs.interrupt(tx, who, job_id=job_id, now=now)
    ids = rows.queued_ids(tx.conn, who.user_id, batch_id=batch_id, limit=500)
    jobs.cancel_queued(tx, who, job_ids=ids, now=now)
    return len(ids) == 500


def make_jobs(tx: Transaction, *, batch: Batch, now: datetime) -> int:
    """Make the next jobs of a batch, if few of it wait. Returns how many were made."""
    who = Principal(batch.owner_id)
    fresh = rows.find(tx.conn, batch.owner_id, batch_id=batch.id)
    if fresh is None or fresh.cancel_requested:
        return 0
    count = min(PIECE, fresh.total - fresh.made, WINDOW - (fresh.made - fresh.ended))
    if count <= 0:
        return 0
    plan = rows.plan_of(tx.conn, batch.owner_id, batch_id=batch.id)
    varied, base = _variations(plan), _command(plan)
    for index in range(fresh.made, fresh.made + count):
        prompt = _varied(base.prompt, varied, plan["converted"], index)
        jobs.put(tx, who, command=replace(base, prompt=prompt, batch=(batch.id, index)), now=now)
    rows.change(tx.conn, batch.owner_id, batch_id=batch.id, made=fresh.made + count)
    jobs.emit_queue_changed(tx, who)
    tx.emit(BatchChanged(batch.owner_id, batch.id))
    return count


def unfinished(tx: Transaction) -> builtins.list[Batch]:
    """The batches of all users of which not all jobs have been made."""
    return rows.not_made(tx.conn)


def _plan(new: NewBatch) -> dict[str, Any]:
    command, varied = new.command, new.variations
    return {
        "prompt": command.prompt,
        "targets": [*command.targets],
        "pool": command.placement.pool,
        "models": [*command.placement.models],
        "engines": as_text(command.placement.engines),
        "labels": dict(new.labels),
        "assets": [*command.assets],
        "places": [[place.node_id, place.name] for place in varied.places],
        "axes": [[*axis] for axis in varied.axes],
        "rows": [[*row] for row in varied.rows],
        "converted": [{k: v for k, v in of_place.items() if repr(v) != k} for of_place in new.converted],
    }


def _variations(plan: Mapping[str, Any]) -> Variations:
    return Variations([Place(*place) for place in plan["places"]], plan["axes"], plan["rows"])


def _command(plan: Mapping[str, Any]) -> SubmitJob:
    return SubmitJob(
        prompt=plan["prompt"],
        targets=plan["targets"],
        extra_data={},
        placement=Placement(Pool(plan["pool"]), plan["models"], from_text(plan["engines"])),
        labels=plan["labels"],
        assets=[AssetId(asset_id) for asset_id in plan["assets"]],
    )


def _varied(
    prompt: Mapping[str, Any], varied: Variations, converted: Sequence[Mapping[str, Any]], index: int
) -> dict[str, Any]:
    """The graph with the values of the job at ``index``; nodes that do not differ are shared."""
    graph = dict(prompt)
    for place, value, known in zip(varied.places, varied.values(index), converted, strict=True):
        node = graph[place.node_id]
        after = known.get(repr(value), value)
        graph[place.node_id] = {**node, "inputs": {**node.get("inputs", {}), place.name: after}}
    return graph
