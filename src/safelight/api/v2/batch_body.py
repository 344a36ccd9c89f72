"""The body of ``POST /api/v2/batches``: the graph of a job, and the values in which the jobs differ."""

from collections.abc import Mapping
from typing import Any

from safelight.core.batch import (
    MAX_INPUTS,
    MAX_JOBS,
    InvalidBatch,
    Place,
    Variations,
    check_value,
    read_axis,
    read_place,
)


def read_variations(body: Mapping[str, Any]) -> Variations:
    """``axes``: values or a range for each input, of which every combination is a job; or ``rows``: an object of values
    for each job, all with the same inputs.

    Raises :class:`InvalidBatch`."""
    axes, rows = body.get("axes"), body.get("rows")
    if (axes is None) == (rows is None):
        raise InvalidBatch("the body must have either 'axes' or 'rows'")
    variations = _of_rows(rows) if axes is None else _of_axes(axes)
    if len(variations) > MAX_JOBS:
        raise InvalidBatch(f"the batch would have {len(variations)} jobs, and at most {MAX_JOBS} are allowed")
    return variations


def _of_axes(axes: Any) -> Variations:
    if not isinstance(axes, dict) or not 0 < len(axes) <= MAX_INPUTS:
        raise InvalidBatch(f"'axes' must be an object of 1 to {MAX_INPUTS} inputs")
    places = [read_place(text) for text in axes]
    return Variations(places, axes=[read_axis(axes[str(place)], place=place) for place in places])


def _of_rows(rows: Any) -> Variations:
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_JOBS:
        raise InvalidBatch(f"'rows' must be a list of 1 to {MAX_JOBS} objects")
    first = rows[0]
    if not isinstance(first, dict) or not 0 < len(first) <= MAX_INPUTS:
        raise InvalidBatch(f"a row must be an object of 1 to {MAX_INPUTS} inputs")
    names = list(first)
    places = [read_place(text) for text in names]
    return Variations(places, rows=[_row(row, names, places, number) for number, row in enumerate(rows)])


def _row(row: Any, names: list[str], places: list[Place], number: int) -> list[Any]:
    if not isinstance(row, dict) or row.keys() != set(names):
        raise InvalidBatch(f"the row {number} must have the inputs of the first row: {', '.join(names)}")
    values = [row[name] for name in names]
    for place, value in zip(places, values, strict=True):
        check_value(value, place=place)
    return values
