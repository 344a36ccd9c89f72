"""A batch: many jobs of one graph under one id, each with other values in some inputs.

The values are a table (one row for each job) or axes, of which every combination is a job; the last axis changes first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NewType

from safelight.core.errors import Unprocessable
from safelight.core.ids import UserId

BatchId = NewType("BatchId", str)

MAX_JOBS = 10_000
MAX_INPUTS = 32
"""Inputs of the graph that differ between the jobs of a batch."""


class InvalidBatch(Unprocessable):
    code = "invalid_batch"


@dataclass(frozen=True, slots=True)
class Place:
    """An input of a node of the graph; written ``3.seed``."""

    node_id: str
    name: str

    def __str__(self) -> str:
        return f"{self.node_id}.{self.name}"


@dataclass(frozen=True, slots=True)
class Variations:
    """``places``: the inputs that differ. ``axes``: the values of each place; or ``rows``: the values of each job, in
    the order of the places."""

    places: Sequence[Place]
    axes: Sequence[Sequence[Any]] = ()
    rows: Sequence[Sequence[Any]] = ()

    def __len__(self) -> int:
        if self.rows:
            return len(self.rows)
        total = 1
        for axis in self.axes:
            total *= len(axis)
        return total

    def values(self, index: int) -> Sequence[Any]:
        """The values of the job at ``index``, in the order of the places."""
        if self.rows:
            return self.rows[index]
        values: list[Any] = []
        for axis in reversed(self.axes):
            index, place = divmod(index, len(axis))
            values.append(axis[place])
        return values[::-1]

    def distinct(self) -> Sequence[Sequence[Any]]:
        """The different values of each place."""
        columns = self.axes or [[row[n] for row in self.rows] for n in range(len(self.places))]
        return [list({repr(value): value for value in column}.values()) for column in columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """``made``: how many of its jobs exist; the others are made when earlier ones have ended. ``succeeded``, ``failed``
    and ``cancelled``: how many have ended so."""

    id: BatchId
    owner_id: UserId
    created_at: datetime
    total: int
    made: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    cancel_requested: bool = False
    ended_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.cancelled


def read_place(text: str) -> Place:
    """Read ``3.seed``. The id of a node may contain dots, the name of an input may too: the first dot separates.

    Raises :class:`InvalidBatch`."""
    node_id, dot, name = text.partition(".")
    if not (node_id and dot and name) or len(text) > 300:
        raise InvalidBatch(f"invalid input {text[:80]!r}: write the id of a node, a dot, and the name of its input")
    return Place(node_id, name)


def read_axis(value: Any, *, place: Place) -> Sequence[Any]:
    """A list of values, or ``{"from": 1, "to": 100, "step": 1}``, which includes its end.

    Raises :class:`InvalidBatch`."""
    if isinstance(value, Mapping):
        return _range(value, place)
    if not isinstance(value, list) or not 0 < len(value) <= MAX_JOBS:
        raise InvalidBatch(f"the values of {place} must be a list of 1 to {MAX_JOBS}, or a range")
    for item in value:
        check_value(item, place=place)
    return value


def check_value(value: Any, *, place: Place) -> None:
    """Raises :class:`InvalidBatch` for anything but a text, a number or a truth value."""
    if not isinstance(value, str | int | float | bool):
        raise InvalidBatch(f"invalid value of {place}: only texts, numbers, true and false are allowed")


def _range(value: Mapping[str, Any], place: Place) -> Sequence[Any]:
    start, end, step = value.get("from"), value.get("to"), value.get("step", 1)
    numbers = (start, end, step)
    if set(value) - {"from", "to", "step"} or not all(type(n) in (int, float) for n in numbers):
        raise InvalidBatch(f"the range of {place} must have the numbers 'from' and 'to', and may have a 'step'")
    assert start is not None
    assert end is not None
    if step == 0 or (end - start) / step < 0:
        raise InvalidBatch(f"the range of {place} from {start} to {end} by {step} is empty")
    count = int((end - start) / step + 1e-9) + 1
    if count > MAX_JOBS:
        raise InvalidBatch(f"the range of {place} has {count} values, and at most {MAX_JOBS} are allowed")
    return [start + step * n for n in range(count)]
