"""The leader among several servers: only it claims jobs and has workers."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Leader:
    """``epoch``: incremented with each change. ``address``: where other servers reach it; empty after it has stepped
    down."""

    epoch: int
    address: str
    since: datetime
