"""The log lines of a job that are kept: what its nodes printed, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

KEPT_CHARACTERS = 64 * 1024
"""Of one job: its last lines."""
_OF_A_LINE = 20
"""Characters that each line counts for in addition to its text, so that empty lines count too."""

Line = tuple[datetime, str]
"""A line ends with a line break."""


@dataclass(frozen=True, slots=True)
class KeptLog:
    """``is_truncated``: the beginning is gone."""

    lines: Sequence[Line] = ()
    is_truncated: bool = False

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.lines)

    def followed_by(self, later: "KeptLog") -> "KeptLog":
        """Both logs as one, without the oldest lines of those that are too many."""
        lines = [*self.lines, *later.lines]
        size, first = 0, len(lines)
        while first and (size := size + len(lines[first - 1][1]) + _OF_A_LINE) <= KEPT_CHARACTERS:
            first -= 1
        return KeptLog(lines[first:], self.is_truncated or later.is_truncated or first > 0)


def with_break(line: Line) -> Line:
    at, text = line
    return at, text if text.endswith("\n") else text + "\n"
