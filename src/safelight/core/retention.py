"""How long files and jobs stay that nobody keeps."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """What housekeeping removes when it is old."""

    PREVIEWS = "previews"  # files in the temp folder
    OUTPUTS = "outputs"  # files in the output folder
    HISTORY = "history"  # jobs that have ended
    LOGS = "logs"  # what jobs that have ended logged


KEPT_TAG = "keep"
"""Files with this tag are never removed by their age."""


@dataclass(frozen=True, slots=True)
class Retention:
    """The age in seconds at which each kind is removed; 0: never. ``most_jobs``: how many ended jobs of one user stay
    in the history; 0: any number. ``spares_admins``: outputs and jobs of administrators stay."""

    previews: float = 0.0
    outputs: float = 0.0
    history: float = 0.0
    logs: float = 0.0
    most_jobs: int = 0
    spares_admins: bool = False

    def cutoff(self, kind: Kind, now: datetime) -> datetime | None:
        """What is older than this is removed; ``None``: nothing is."""
        age_s: float = getattr(self, kind)
        return now - timedelta(seconds=age_s) if age_s else None


assert {field.name for field in fields(Retention) if field.type is float} == set(Kind)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of files, jobs or logs, and the bytes of the files or logs."""

    count: int = 0
    size: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.count + other.count, self.size + other.size)
