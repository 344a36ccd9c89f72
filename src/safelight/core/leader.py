"""Which of several servers leads: it alone claims jobs and speaks with workers."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Leader:
    """``epoch`` rises with each change. ``address``: where the others reach it, "" where it went in good order."""

    epoch: int
    address: str
    since: datetime
