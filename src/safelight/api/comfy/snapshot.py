"""The snapshot that a client gets when its WebSocket connects in the middle of a job."""

from collections.abc import Iterable

from safelight.api.comfy.frame import Frame
from safelight.api.comfy.live import LiveJob
from safelight.api.comfy.messages import executing, progress_state


def snapshot_of(jobs: Iterable[LiveJob]) -> list[Frame]:
    """The frames that bring a new socket up to date with the running jobs whose messages it will receive: the call
    that runs now, and the progress of all calls. A job of which no call has started has none."""
    return [frame for job in jobs for frame in _frames(job)]


def _frames(job: LiveJob) -> list[Frame]:
    if job.current is None:
        return []
    return [executing(job, job.current), progress_state(job)]
