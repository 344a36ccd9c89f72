"""The record of a run of fault tests: faults by kind, and how long retries took."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """Mutable. ``retries_s``: from the death of an engine to the start of the next attempt."""

    faults: Counter[str] = field(default_factory=Counter)
    retries_s: list[float] = field(default_factory=list)

    def injected(self, fault: str, number: int = 1) -> None:
        self.faults[fault] += number

    @property
    def total(self) -> int:
        return self.faults.total()
