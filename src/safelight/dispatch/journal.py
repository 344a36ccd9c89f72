"""What an attempt has come to while its engine works on it: so that a server that comes later can follow it from there.

Of what the engine said, that which an earlier server had heard. Whether that server had written it down is for the
database to say: the outputs of an attempt are rows in the order in which they were said.
"""

from collections.abc import Sequence

from safelight.core.event import Call, CallFinished, CallsCached, CallStarted
from safelight.wire.messages import (
    AttemptLost,
    CallReport,
    CheckFiles,
    JobDone,
    JobMessage,
    Message,
    OutputReady,
    Ready,
    ReserveNames,
    RunJob,
    ToServer,
)

_LASTING = (OutputReady, ReserveNames, CheckFiles, JobDone, AttemptLost)
_LASTING_EVENTS = (CallsCached, CallStarted, CallFinished)
"""The rest is for those who listen at the moment."""


class Journal(Message, frozen=True, kw_only=True):
    """``said``: with the time in milliseconds since the epoch. ``numbers``: by request for names, the first that was
    given; a request that is not here is not answered yet."""

    job_id: str
    attempt: int
    staging: str
    said: list[tuple[int, ToServer]]
    numbers: dict[int, int]

    @property
    def finished(self) -> Sequence[Call]:
        events = [message.event for _, message in self.said if isinstance(message, CallReport)]
        return [event.call for event in events if isinstance(event, CallFinished)]

    @property
    def is_over(self) -> bool:
        return bool(self.said) and isinstance(self.said[-1][1], JobDone)


class Work:
    """Mutable: the journal of the attempt that an engine was sent last. ``generation``: of that engine."""

    def __init__(self, order: RunJob, *, ready: Ready, generation: int) -> None:
        self.ready = ready
        self.generation = generation
        self.is_over = False  # also where no server has heard so yet
        self._fence = order.job_id, order.attempt
        self._staging = order.staging
        self._said: list[tuple[int, ToServer]] = []
        self._numbers: dict[int, int] = {}

    def is_of(self, message: ToServer) -> bool:
        return isinstance(message, JobMessage) and (message.job_id, message.attempt) == self._fence

    def heard(self, message: ToServer, *, at_ms: int) -> None:
        """A server has heard it."""
        if self.is_of(message) and _is_lasting(message):
            self._said.append((at_ms, message))

    def answered(self, request_id: int, first: int) -> None:
        """A server has given the engine numbers for names."""
        self._numbers[request_id] = first

    def journal(self) -> Journal:
        job_id, attempt = self._fence
        return Journal(
            job_id=job_id, attempt=attempt, staging=self._staging, said=list(self._said), numbers=dict(self._numbers)
        )


def _is_lasting(message: ToServer) -> bool:
    if isinstance(message, CallReport):
        return isinstance(message.event, _LASTING_EVENTS)
    return isinstance(message, _LASTING)
