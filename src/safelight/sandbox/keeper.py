"""The keeper, a process between a server and one engine: starts the engine, waits for it, and lets nothing outlive it.

The server starts a keeper (:func:`command`), and the keeper starts the engine. If the system allows it, the engine gets
a PID namespace of its own (``namespaces.py``): then there is a third process between the two, the first of that
namespace, and everything in the namespace ends with it. Otherwise the keeper adopts the processes that the engine
leaves behind, and kills them.

The keeper is small and not confined; the engine cannot reach it. It exits with the engine's status or by the same
signal. ``SIGTERM`` kills the engine immediately. When the server dies, the keeper and the engine die too, even if they
are stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from safelight.sandbox import namespaces, system

NAMES = ("safelight-keep", "safelight-init")
"""``/proc/PID/comm`` of a keeper, and of the first process of an engine's namespace."""

_LOOK_S = 0.5
PLAIN = f"processes: {sys.platform} has no namespaces; programs that a worker starts in a session of their own may stay"
_SWEEP_S = 5.0
_SIGNALLED = 128
"""An exit status above this, of the first process of a namespace, is the signal that ended the engine."""
_ROOT = str(Path(__file__).parents[2])


def command(
    engine: Sequence[str], *, fd: int, parent: int, own_processes: bool, writable: Sequence[str] | None
) -> list[str]:
    """The command line that starts ``engine --fd FD --parent PID --server PID [--unkept SENTENCE]`` under a keeper.

    ``parent``: the process that starts the keeper. ``writable``: see :class:`~safelight.sandbox.rules.Rules`.
    """
    options = json.dumps({"fd": fd, "parent": parent, "own_processes": own_processes, "writable": writable})
    code = f"import sys; sys.path.insert(0, {_ROOT!r}); from safelight.sandbox.keeper import main; main()"
    return [sys.executable, "-I", "-S", "-c", code, options, *engine]


def main() -> None:
    options = json.loads(sys.argv[1])
    keep(sys.argv[2:], **options)


def keep(engine: Sequence[str], *, fd: int, parent: int, own_processes: bool, writable: Sequence[str] | None) -> None:
    """Start the engine, wait for it, and exit as it did."""
    if not system.IS_LINUX:
        keep_plainly(engine, fd=fd, parent=parent)
    import resource

    system.die_with_parent()
    if os.getppid() != parent:
        sys.exit("the server has ended")
    system.name_process(NAMES[0].encode())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    command = [*engine, "--fd", str(fd), "--server", str(parent)]
    refusal = namespace_refusal(writable) if own_processes else None
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if own_processes and refusal is None:
        namespaces.enter()
        system.die_with_parent()  # again: entering a user namespace may clear it
        child = _fork(lambda: _run_first_process(command, fd=fd, writable=writable))
    else:
        if refusal is not None:
            command += ["--unkept", unkept(refusal)]
        system.adopt_orphans()
        child = _fork(lambda: _exec(command, parent=os.getppid()))
        system.die_with_parent(signal.SIGTERM)  # not SIGKILL, so that the processes left by the engine are killed first
        if os.getppid() != parent:
            os.kill(child, signal.SIGKILL)
    os.close(fd)

    def kill(*_: object) -> None:
        os.kill(child, signal.SIGKILL)  # not reaped before `_wait_for` returns, so the id is still the child's

    signal.signal(signal.SIGTERM, kill)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    code = os.waitstatus_to_exitcode(_wait_for(child))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if own_processes and refusal is None:
        _exit_as(code if code <= _SIGNALLED else _SIGNALLED - code)
    _kill_children()  # not in a PID namespace, where /proc of this process shows other ids
    _exit_as(code)


def keep_plainly(engine: Sequence[str], *, fd: int, parent: int) -> NoReturn:
    """:func:`keep` on a system without Linux's calls: the engine's process group ends with it and with the server,
    which is noticed within :data:`_LOOK_S`; a process that left the group may stay."""
    child = os.fork()
    if not child:
        os.setsid()
        own = [*engine, "--fd", str(fd), "--server", str(parent), "--parent", str(os.getppid()), "--unkept", PLAIN]
        os.execvp(own[0], own)
    os.close(fd)

    def kill(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)

    def look(*_: object) -> None:
        if os.getppid() != parent:
            kill()

    signal.signal(signal.SIGTERM, kill)
    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_S, _LOOK_S)
    code = os.waitstatus_to_exitcode(_wait_for(child))
    signal.setitimer(signal.ITIMER_REAL, 0)
    kill()
    _exit_as(code)


def unkept(refusal: str) -> str:
    """The warning for a system that refuses namespaces."""
    return (
        f"processes: the system refuses a namespace ({refusal}); workers can see other processes of the account, and "
        "change the modes of its files"
    )


def namespace_refusal(writable: Sequence[str] | None) -> str | None:
    """The system's reason if it refuses PID and mount namespaces; ``None`` if it allows them. A child process tries."""
    reading, writing = os.pipe()
    child = _fork(lambda: _try(writable, report_fd=writing))
    os.close(writing)
    with os.fdopen(reading) as pipe:
        report = pipe.read()
    _wait_for(child)
    return None if report == "allowed" else report or "no reason given"


def _try(writable: Sequence[str] | None, *, report_fd: int) -> NoReturn:
    def first_process() -> NoReturn:
        namespaces.mount_own(writable)
        os.write(report_fd, b"allowed")
        os._exit(0)

    try:
        namespaces.enter()
        _wait_for(_fork(lambda: _report_errors(first_process, report_fd)))
    except OSError as error:
        os.write(report_fd, (error.strerror or str(error)).encode())
    os._exit(0)


def _report_errors(work: Callable[[], NoReturn], report_fd: int) -> NoReturn:
    try:
        work()
    except OSError as error:
        os.write(report_fd, (error.strerror or str(error)).encode())
    os._exit(1)


def _run_first_process(command: Sequence[str], *, fd: int, writable: Sequence[str] | None) -> NoReturn:
    """The first process of a PID namespace: it adopts orphans, and when it ends, the kernel kills all others."""
    system.die_with_parent()
    system.name_process(NAMES[1].encode())
    namespaces.mount_own(writable)
    child = _fork(lambda: _exec(command, parent=1))
    os.close(fd)
    code = os.waitstatus_to_exitcode(_wait_for(child))
    os._exit(code if code >= 0 else _SIGNALLED - code)  # the first process of a namespace cannot kill itself


def _exec(command: Sequence[str], *, parent: int) -> NoReturn:
    system.die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(command[0], [*command, "--parent", str(parent)])


def _fork(work: Callable[[], NoReturn]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException as error:
        os.write(2, f"cannot start the worker process: {error}\n".encode())
    os._exit(1)


def _wait_for(child: int) -> int:
    """Reap children until ``child`` has ended, and return its status."""
    while True:
        ended, status = os.wait()
        if ended == child:
            return status


def _kill_children() -> None:
    """Kill what is left of the engine: the children, and the orphans that this process adopts as their parents end."""
    until = time.monotonic() + _SWEEP_S
    while time.monotonic() < until:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _children() -> list[int]:
    """Their ids. None has been reaped yet, so no id can belong to another process meanwhile."""
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


def _exit_as(code: int) -> NoReturn:
    """Exit with a status or by a signal. ``code``: as from :func:`os.waitstatus_to_exitcode`."""
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(abs(code))
