"""The columns of a job's row, one for each field of :class:`JobSummary`: the only place that lists them.

The table, the insert, the update and the conversion from a row are all made from this list. A new field of a job needs
the field (``core/job.py``), a line here, a migration, and the code that shows it.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Boolean, Column, Float, ForeignKey, Integer, Row, String, Text

from safelight.core.engine_kind import as_text, from_text
from safelight.core.job import JobError, JobState, JobSummary
from safelight.db.types import Json, Moment


@dataclass(frozen=True, slots=True)
class JobColumn:
    """``read`` converts the column's value to the field's, ``write`` the reverse; ``None``: they are the same.

    ``is_fixed``: set when the job is submitted, and never changed.
    """

    column: Column[Any]
    is_fixed: bool = False
    read: Callable[[Any], Any] | None = None
    write: Callable[[Any], Any] | None = None

    @property
    def name(self) -> str:
        return self.column.name

    def value_of(self, summary: JobSummary) -> Any:
        value = getattr(summary, self.name)
        return self.write(value) if self.write else value


def _read_error(value: Mapping[str, Any] | None) -> JobError | None:
    return None if value is None else JobError(**value)


def _write_error(error: JobError | None) -> Mapping[str, Any] | None:
    return None if error is None else asdict(error)


COLUMNS = (
    JobColumn(Column("id", String(200), nullable=False, unique=True), is_fixed=True),
    JobColumn(Column("owner_id", String(64), ForeignKey("user.id"), nullable=False), is_fixed=True),
    JobColumn(Column("state", String(16), nullable=False), read=JobState, write=lambda state: state.value),
    JobColumn(Column("attempt", Integer, nullable=False)),
    JobColumn(Column("number", Float, nullable=False), is_fixed=True),
    JobColumn(Column("created_at", Moment, nullable=False), is_fixed=True),
    JobColumn(Column("updated_at", Moment, nullable=False)),
    JobColumn(Column("started_at", Moment)),
    JobColumn(Column("ended_at", Moment)),
    JobColumn(Column("client_id", Text), is_fixed=True),
    JobColumn(Column("workflow_id", Text), is_fixed=True),
    JobColumn(Column("outputs_count", Integer, nullable=False)),
    JobColumn(Column("preview_output", Json)),
    JobColumn(Column("error", Json), read=_read_error, write=_write_error),
    JobColumn(Column("cancel_requested", Boolean, nullable=False)),
    JobColumn(Column("pool", String(64), nullable=False, server_default=""), is_fixed=True),
    JobColumn(Column("models", Json), is_fixed=True, read=lambda v: tuple(v or ()), write=lambda v: [*v] or None),
    JobColumn(
        Column("engines", String(255), nullable=False, server_default="safelight"),
        is_fixed=True,
        read=from_text,
        write=as_text,
    ),
    JobColumn(Column("releases", Integer, nullable=False, server_default="0")),
    JobColumn(Column("labels", Json), is_fixed=True, read=lambda v: v or {}, write=lambda v: dict(v) or None),
    JobColumn(Column("node_count", Integer), is_fixed=True),
    JobColumn(Column("batch_id", String(36)), is_fixed=True),
    JobColumn(Column("batch_index", Integer), is_fixed=True),
)

_CHANGING = tuple(column for column in COLUMNS if not column.is_fixed)
_NAMES = tuple(column.name for column in COLUMNS)
_READERS = tuple((column.name, column.read) for column in COLUMNS if column.read)


def new_row(summary: JobSummary) -> dict[str, Any]:
    """The values of a new job's row."""
    return {column.name: column.value_of(summary) for column in COLUMNS}


def changed_row(summary: JobSummary) -> dict[str, Any]:
    """The values that an update of the job writes."""
    return {column.name: column.value_of(summary) for column in _CHANGING}


def summary_of(row: Row[Any]) -> JobSummary:
    """The summary in a row of ``job_rows.SUMMARY``: the row's number, then the columns in their order."""
    values: dict[str, Any] = dict(zip(_NAMES, row[1:], strict=False))
    for name, read in _READERS:
        values[name] = read(values[name])
    return JobSummary(**values)
