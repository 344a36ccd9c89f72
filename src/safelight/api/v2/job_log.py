"""The latest log lines of each job, from the events of its worker, in memory."""

from collections import OrderedDict
from dataclasses import dataclass

from safelight.core.event import LogWritten
from safelight.core.ids import JobId

KEPT_JOBS = 500
KEPT_CHARACTERS = 64 * 1024
"""Of each job: the last ones."""


@dataclass(slots=True)
class JobLog:
    """Mutable: the text so far. ``is_truncated``: its beginning is gone."""

    text: str = ""
    is_truncated: bool = False


class JobLogs:
    """Mutable: the logs of the jobs that logged last."""

    def __init__(self) -> None:
        self._logs: OrderedDict[JobId, JobLog] = OrderedDict()

    def feed(self, event: LogWritten) -> None:
        if event.job_id is None:
            return
        log = self._logs.setdefault(event.job_id, JobLog())
        self._logs.move_to_end(event.job_id)
        log.text += "".join(text if text.endswith("\n") else text + "\n" for _, text in event.entries)
        if len(log.text) > KEPT_CHARACTERS:
            log.text, log.is_truncated = log.text[-KEPT_CHARACTERS:], True
        if len(self._logs) > KEPT_JOBS:
            self._logs.popitem(last=False)

    def of(self, job_id: JobId) -> JobLog | None:
        return self._logs.get(job_id)
