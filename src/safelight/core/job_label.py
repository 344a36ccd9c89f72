"""Labels that an owner gives a job when it is submitted (``metadata`` of Comfy API v2), and filters by them."""

import re
from collections.abc import Mapping
from typing import Any

from safelight.core.errors import Invalid, Unprocessable

MAX_LABELS = 16
MAX_VALUE = 4096
"""Characters of a value."""
MAX_FILTERS = 3

_KEY = re.compile(r"[A-Za-z0-9_.-]{1,40}")


class InvalidLabels(Unprocessable):
    code = "metadata_invalid"


class InvalidLabelFilter(Invalid):
    code = "invalid_metadata_filter"


def check_labels(labels: Any) -> dict[str, str]:
    """The labels of a new job. Raises :class:`InvalidLabels`, whose message names the key or the count."""
    if not isinstance(labels, Mapping):
        raise InvalidLabels("invalid metadata: it must be an object of strings")
    if len(labels) > MAX_LABELS:
        raise InvalidLabels(f"invalid metadata: it has {len(labels)} keys, and at most {MAX_LABELS} are allowed")
    for key, value in labels.items():
        if not _KEY.fullmatch(key):
            raise InvalidLabels(f"invalid metadata key {key[:80]!r}: use 1 to 40 of A-Z a-z 0-9 _ . -")
        if not isinstance(value, str):
            raise InvalidLabels(f"invalid metadata value of {key!r}: it must be a string")
        if len(value) > MAX_VALUE or "\0" in value:
            raise InvalidLabels(f"invalid metadata value of {key!r}: use at most {MAX_VALUE} characters without NUL")
    return dict(labels)


def check_label_filter(wanted: Mapping[str, str]) -> dict[str, str]:
    """The labels that listed jobs must have. Raises :class:`InvalidLabelFilter`."""
    if len(wanted) > MAX_FILTERS:
        raise InvalidLabelFilter(f"the filter has {len(wanted)} metadata keys, and at most {MAX_FILTERS} are allowed")
    for key, value in wanted.items():
        if not _KEY.fullmatch(key) or len(value) > MAX_VALUE or "\0" in value:
            raise InvalidLabelFilter(f"invalid metadata filter {key[:80]!r}: no job can have such a label")
    return dict(wanted)
