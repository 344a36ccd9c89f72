"""Stands between a server and one engine process: starts it, waits for it, and lets nothing outlive it.

The server starts a keeper (:func:`command`), and the keeper the engine, where the system allows it in a process table
of the engine's own (``namespaces.py``): then a third process, the first of that table, stands between the two, and
with it everything in the table ends. Elsewhere the keeper adopts what the engine leaves behind, and ends it.

The keeper is small and confined by nothing: the engine cannot reach it. It ends as the engine ended, with the same
status or by the same signal. ``SIGTERM`` ends the engine at once. When the server dies, so does the keeper, and with
it the engine, also while they are stopped.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from safelight.sandbox import namespaces, system

NAMES = ("safelight-keep", "safelight-init")
"""What ``/proc/PID/comm`` says of a keeper, and of the first process of an engine's own table."""

_SWEEP_S = 5.0
_SIGNALLED = 128
"""By an exit status above this, the first process of a table says by which signal the engine has ended."""
_ROOT = str(Path(__file__).parents[2])


def command(
    engine: Sequence[str], *, fd: int, parent: int, own_processes: bool, writable: Sequence[str] | None
) -> list[str]:
    """What starts ``engine --fd FD --parent PID --server PID [--unkept SENTENCE]`` under a keeper. ``parent``: the
    process that starts it. ``writable``: see :class:`~safelight.sandbox.rules.Rules`."""
    words = json.dumps({"fd": fd, "parent": parent, "own_processes": own_processes, "writable": writable})
    code = f"import sys; sys.path.insert(0, {_ROOT!r}); from safelight.sandbox.keeper import main; main()"
    return [sys.executable, "-I", "-S", "-c", code, words, *engine]


def main() -> None:
    words = json.loads(sys.argv[1])
    keep(sys.argv[2:], **words)


def keep(engine: Sequence[str], *, fd: int, parent: int, own_processes: bool, writable: Sequence[str] | None) -> None:
    system.die_with_parent()
    if os.getppid() != parent:
        sys.exit("the server is gone")
    system.name_process(NAMES[0].encode())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    words = [*engine, "--fd", str(fd), "--server", str(parent)]
    refusal = why_not(writable) if own_processes else None
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if own_processes and refusal is None:
        namespaces.enter()
        system.die_with_parent()  # again: who enters a user namespace may lose it
        child = _fork(lambda: _be_first(words, fd=fd, writable=writable))
    else:
        if refusal is not None:
            words += ["--unkept", unkept(refusal)]
        system.adopt_orphans()
        child = _fork(lambda: _become(words, parent=os.getppid()))
        system.die_with_parent(signal.SIGTERM)  # so that what the engine has left can be ended first
        if os.getppid() != parent:
            os.kill(child, signal.SIGKILL)
    os.close(fd)

    def end(*_: object) -> None:
        os.kill(child, signal.SIGKILL)  # not reaped before `_reap` returns: the id is still its own

    signal.signal(signal.SIGTERM, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    code = os.waitstatus_to_exitcode(_wait_for(child))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if own_processes and refusal is None:
        _end_as(code if code <= _SIGNALLED else _SIGNALLED - code)
    _sweep()  # of this system's processes: a table of its own would show others under their ids
    _end_as(code)


def unkept(refusal: str) -> str:
    """What to tell of a system that gives no process table."""
    return (
        f"processes: the system gives no namespace ({refusal}); those of the same account can be seen, and the modes "
        "of its files changed"
    )


def why_not(writable: Sequence[str] | None) -> str | None:
    """``None`` where the system gives namespaces for processes and mounts; its reason where not. Tried by a child."""
    ours, theirs = os.pipe()
    child = _fork(lambda: _try(writable, told=theirs))
    os.close(theirs)
    with os.fdopen(ours) as answers:
        answer = answers.read()
    _wait_for(child)
    return None if answer == "given" else answer or "no reason given"


def _try(writable: Sequence[str] | None, *, told: int) -> NoReturn:
    def first() -> NoReturn:
        namespaces.furnish(writable)
        os.write(told, b"given")
        os._exit(0)

    try:
        namespaces.enter()
        _wait_for(_fork(lambda: _telling(first, told)))
    except OSError as error:
        os.write(told, (error.strerror or str(error)).encode())
    os._exit(0)


def _telling(deed: Callable[[], NoReturn], told: int) -> NoReturn:
    try:
        deed()
    except OSError as error:
        os.write(told, (error.strerror or str(error)).encode())
    os._exit(1)


def _be_first(words: Sequence[str], *, fd: int, writable: Sequence[str] | None) -> NoReturn:
    """The first process of a table: what loses its parent comes to it, and when it ends, all others are ended."""
    system.die_with_parent()
    system.name_process(NAMES[1].encode())
    namespaces.furnish(writable)
    child = _fork(lambda: _become(words, parent=1))
    os.close(fd)
    code = os.waitstatus_to_exitcode(_wait_for(child))
    os._exit(code if code >= 0 else _SIGNALLED - code)  # the first process cannot end itself by a signal


def _become(words: Sequence[str], *, parent: int) -> NoReturn:
    system.die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(words[0], [*words, "--parent", str(parent)])


def _fork(work: Callable[[], NoReturn]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException as error:
        os.write(2, f"the worker process cannot be started: {error}\n".encode())
    os._exit(1)


def _wait_for(child: int) -> int:
    """Reap whatever ends until ``child`` has; its status."""
    while True:
        ended, status = os.wait()
        if ended == child:
            return status


def _sweep() -> None:
    """End all that is left of the engine: its children, and those who come to this process as their parents end."""
    until = time.monotonic() + _SWEEP_S
    while time.monotonic() < until:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _children() -> list[int]:
    """None of them is reaped, so that no id can be another process's meanwhile."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                stat = Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(") ")[2].split()[1]) == os.getpid():
                found.append(int(entry))
    return found


def _end_as(code: int) -> NoReturn:
    """``code``: as of :func:`os.waitstatus_to_exitcode`."""
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(abs(code))
