"""The journal of an attempt: what its engine has reported so far, from which another server can follow it.

It holds the messages that an earlier server has received. Whether that server stored them is for the database to say:
the outputs of an attempt are rows in the order in which they were reported.
"""

from collections.abc import Sequence

from safelight.core.event import CallFinished, CallsCached, CallStarted, NodeCall
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

_KEPT_MESSAGES = (OutputReady, ReserveNames, CheckFiles, JobDone, AttemptLost)
_KEPT_EVENTS = (CallsCached, CallStarted, CallFinished)
"""Other events matter only to clients that are connected when they happen."""


class Journal(Message, frozen=True, kw_only=True):
    """``messages``: with the time of each in milliseconds since the epoch. ``numbers``: the first number that was
    reserved, by the id of the request for names; a request that is missing here has no answer yet."""

    job_id: str
    attempt: int
    staging: str
    messages: list[tuple[int, ToServer]]
    numbers: dict[int, int]

    @property
    def finished(self) -> Sequence[NodeCall]:
        """The calls that have finished."""
        events = [message.event for _, message in self.messages if isinstance(message, CallReport)]
        return [event.call for event in events if isinstance(event, CallFinished)]

    @property
    def is_over(self) -> bool:
        return bool(self.messages) and isinstance(self.messages[-1][1], JobDone)


class JournalWriter:
    """Mutable: the journal of the attempt that an engine was sent last. ``generation``: of that engine."""

    def __init__(self, order: RunJob, *, ready: Ready, generation: int) -> None:
        self.ready = ready
        self.generation = generation
        self.is_over = False  # may be set before any server has received the end
        self._fence = order.job_id, order.attempt
        self._staging = order.staging
        self._messages: list[tuple[int, ToServer]] = []
        self._numbers: dict[int, int] = {}

    def covers(self, message: ToServer) -> bool:
        """Whether the message belongs to the attempt."""
        return isinstance(message, JobMessage) and (message.job_id, message.attempt) == self._fence

    def record(self, message: ToServer, *, at_ms: int) -> None:
        """A server has received the message."""
        if self.covers(message) and _is_kept(message):
            self._messages.append((at_ms, message))

    def record_numbers(self, request_id: int, first: int) -> None:
        """A server has reserved numbers for the engine's request."""
        self._numbers[request_id] = first

    def journal(self) -> Journal:
        job_id, attempt = self._fence
        return Journal(
            job_id=job_id,
            attempt=attempt,
            staging=self._staging,
            messages=list(self._messages),
            numbers=dict(self._numbers),
        )


def _is_kept(message: ToServer) -> bool:
    if isinstance(message, CallReport):
        return isinstance(message.event, _KEPT_EVENTS)
    return isinstance(message, _KEPT_MESSAGES)
