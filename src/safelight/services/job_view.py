"""A job with the assets that it has made so far, for clients that follow it by polling or by events."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight.core.asset import Asset, FileName, Folder, clean_filename, clean_subfolder
from safelight.core.errors import InvalidName, NotFound
from safelight.core.job import JobState, JobSummary
from safelight.core.output import Output, by_node
from safelight.core.user import Principal
from safelight.db import asset as asset_rows
from safelight.db import job_files, job_label
from safelight.db.transaction import Transaction


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that a node of the job showed. ``node_id``: the node that the user sees."""

    node_id: str
    asset: Asset


@dataclass(frozen=True, slots=True)
class JobView:
    """``files``: in the order in which they were made, while the job runs too. ``ahead``: the owner's jobs that run
    before this one; ``None`` unless it waits."""

    summary: JobSummary
    files: Sequence[MadeFile]
    ahead: int | None


@dataclass(frozen=True, slots=True)
class LabelledPage:
    """``next_before``: where the next page begins; ``None`` after the last one."""

    jobs: Sequence[JobSummary]
    next_before: int | None


def view(tx: Transaction, who: Principal, *, job_id: str) -> JobView:
    seq, summary = _find(tx, who, job_id)
    ahead = None
    if summary.state is JobState.QUEUED:
        ahead = job_files.count_ahead(tx.conn, who.user_id, seq=seq, number=summary.number)
    outputs = job_files.outputs(tx.conn, seq, attempt=summary.attempt) if summary.attempt else ()
    files = files_of(tx, who, outputs)
    return JobView(summary, files, ahead)


def prompt(tx: Transaction, who: Principal, *, job_id: str) -> Mapping[str, Any]:
    """The graph that the job runs."""
    seq, _ = _find(tx, who, job_id)
    return job_files.prompt(tx.conn, seq)


def labelled(
    tx: Transaction, who: Principal, *, labels: Mapping[str, str], before: int | None, limit: int
) -> LabelledPage:
    """The newest jobs that have all these labels. ``before``: the ``next_before`` of the page before."""
    found = job_label.page(tx.conn, who.user_id, labels=labels, before=before, limit=limit + 1)
    page = found[:limit]
    return LabelledPage([job for _, job in page], page[-1][0] if len(found) > limit else None)


def _find(tx: Transaction, who: Principal, job_id: str) -> tuple[int, JobSummary]:
    found = job_files.find(tx.conn, who.user_id, job_id=job_id)
    if found is None:
        raise NotFound(f"there is no job {job_id!r}")
    return found


def files_of(tx: Transaction, who: Principal, outputs: Sequence[Output]) -> Sequence[MadeFile]:
    """The files that the outputs of a job show, as assets of its owner."""
    by_id = by_node(outputs)
    named = [(node_id, name) for node_id, ui in by_id.items() for name in _file_names(ui)]
    found = asset_rows.find_all_named(tx.conn, who.user_id, files={name for _, name in named}) if named else {}
    shown = dict.fromkeys((node_id, name) for node_id, name in named if name in found)
    return [MadeFile(node_id, found[name]) for node_id, name in shown]


def _file_names(ui: Mapping[str, Any]) -> Iterator[FileName]:
    for items in ui.values():
        for item in items if isinstance(items, list | tuple) else ():
            if isinstance(item, Mapping) and isinstance(item.get("filename"), str):
                try:
                    yield FileName(
                        Folder(item.get("type") or "output"),
                        clean_subfolder(str(item.get("subfolder") or "")),
                        clean_filename(item["filename"]),
                    )
                except (InvalidName, ValueError):
                    continue
