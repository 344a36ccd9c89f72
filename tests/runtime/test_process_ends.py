"""Functions that end the process, called by packs outside jobs."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from safelight.runtime.process_ends import EndRequested, defer_ends


@pytest.fixture
def requested() -> Iterator[list[str]]:
    names: list[str] = []
    restore = defer_ends(names.append)
    yield names
    restore()


def in_thread(work: Callable[[], object]) -> None:
    """Run ``work`` in another thread, and pass on its :class:`EndRequested`."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except EndRequested as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


@pytest.mark.parametrize(
    ("work", "name"),
    [
        (lambda: os._exit(3), "os._exit"),
        (lambda: os.execv(sys.executable, [sys.executable, "-c", ""]), "os.execv"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "os.kill"),
        (lambda: signal.raise_signal(signal.SIGTERM), "signal.raise_signal"),
    ],
)
def test_only_the_caller_ends(requested: list[str], work: Callable[[], object], name: str) -> None:
    with pytest.raises(EndRequested, match=f"a node pack called {name}"):
        in_thread(work)
    assert requested == [name]


def test_other_processes_can_be_signalled(requested: list[str]) -> None:
    child = os.fork()
    if child == 0:
        os._exit(7)  # a forked process really ends
    in_thread(lambda: os.kill(child, 0))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert requested == []


def test_everything_is_as_before_afterwards() -> None:
    before = (os._exit, os.execv, os.kill, signal.raise_signal)
    defer_ends(print)()
    assert (os._exit, os.execv, os.kill, signal.raise_signal) == before
