"""Keepers of real processes: how an engine ends, and that none of its processes stay, with and without a PID
namespace."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from safelight.dispatch.backends.process import engine_below
from safelight.sandbox import keeper

LEAVE = """
import ctypes, os, signal, sys, time
name, out = sys.argv[1:3]
def leave():
    if os.fork():
        return os.wait()
    os.setsid()
    if os.fork():
        os._exit(0)
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
    for handle in range(32):
        try: os.close(handle)
        except OSError: pass
    signal.pause()
"""
"""An engine that can leave a process behind, in a session of its own."""


@pytest.fixture(params=[True, False], ids=["own processes", "adopting"])
def own(request: pytest.FixtureRequest) -> bool:
    if request.param and (refusal := keeper.namespace_refusal(None)) is not None:
        pytest.skip(f"the system refuses a namespace: {refusal}")
    return bool(request.param)


def keep(code: str, *arguments: str, own: bool, parent: int | None = None) -> "subprocess.Popen[str]":
    program = [sys.executable, "-S", "-c", f"{LEAVE}\n{code}", *arguments]
    reading, writing = os.pipe()
    command = keeper.command(program, fd=writing, parent=parent or os.getpid(), own_processes=own, writable=None)
    try:
        return subprocess.Popen(command, pass_fds=(writing,), stdout=subprocess.PIPE, text=True)
    finally:
        os.close(writing)
        os.close(reading)


def named(name: str) -> list[str]:
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            found += [comm.parent.name] if comm.read_text().strip() == name else []
        except OSError:
            continue
    return found


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("status", [0, 3, 75])
def test_the_keeper_exits_with_the_status_of_its_engine(own: bool, status: int) -> None:
    process = keep(f"sys.exit({status})", "", "", own=own)
    process.communicate(timeout=60)
    assert process.returncode == status


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_the_keeper_ends_by_the_signal_that_ended_its_engine(own: bool, how: signal.Signals) -> None:
    process = keep(f"os.kill(os.getpid(), {int(how)})", "", "", own=own)
    process.communicate(timeout=60)
    assert process.returncode == -how


def test_nothing_outlives_an_engine_that_ends(own: bool) -> None:
    name = f"left-{uuid.uuid4().hex[:8]}"
    process = keep("leave(); print(1, flush=True); sys.exit(0)", name, "", own=own)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert named(name) == []


def test_nothing_outlives_an_engine_that_is_killed(own: bool) -> None:
    name = f"left-{uuid.uuid4().hex[:8]}"
    process = keep("leave(); print(1, flush=True); time.sleep(600)", name, "", own=own)
    assert process.stdout is not None
    process.stdout.readline()
    until(lambda: len(named(name)) == 1)
    engine = engine_below(process.pid)
    assert engine is not None
    assert Path(f"/proc/{engine}").exists()
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert named(name) == []
    assert not Path(f"/proc/{engine}").exists()


@pytest.mark.parametrize("is_stopped", [False, True])
def test_nothing_outlives_the_server(own: bool, is_stopped: bool) -> None:
    """The server is killed while the engine runs or is stopped."""
    name = f"left-{uuid.uuid4().hex[:8]}"
    program = [sys.executable, "-S", "-c", f"{LEAVE}\nleave(); time.sleep(600)", name, ""]
    server = f"""
import os, subprocess, sys, time
sys.path.insert(0, {str(Path(keeper.__file__).parents[2])!r})
from safelight.sandbox import keeper
_, writing = os.pipe()
command = keeper.command({program!r}, fd=writing, parent=os.getpid(), own_processes={own}, writable=None)
print(subprocess.Popen(command, pass_fds=(writing,)).pid, flush=True)
time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-S", "-c", server], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        kept = int(process.stdout.readline())
        until(lambda: len(named(name)) == 1)
        engine = engine_below(kept)
        assert engine is not None
        if is_stopped:
            os.kill(engine, signal.SIGSTOP)
    finally:
        process.kill()
        process.communicate(timeout=60)
    until(lambda: not Path(f"/proc/{engine}").exists())
    until(lambda: named(name) == [])


def test_a_keeper_without_its_server_starts_nothing(own: bool) -> None:
    process = keep("print('started')", "", "", own=own, parent=1)
    said, _ = process.communicate(timeout=60)
    assert said == ""
    assert process.returncode != 0


def test_an_engine_sees_no_other_process() -> None:
    if (refusal := keeper.namespace_refusal(())) is not None:
        pytest.skip(f"the system refuses a namespace: {refusal}")
    process = keep("print(sorted(int(p) for p in os.listdir('/proc') if p.isdecimal()) == [1, os.getpid()])", own=True)
    said, _ = process.communicate(timeout=60)
    assert said == "True\n"


def test_without_namespaces_the_engine_is_told() -> None:
    """As in many containers: the keeper is root of a user namespace that cannot have others."""
    forbid = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(Path(keeper.__file__).parents[2])!r})
from safelight.sandbox import keeper, system
uid = os.getuid()
system.unshare(system.CLONE_NEWUSER)
Path("/proc/self/uid_map").write_text(f"{{uid}} {{uid}} 1")
for kind in ("user", "pid", "mnt"):
    Path(f"/proc/sys/user/max_{{kind}}_namespaces").write_text("0")
print(keeper.namespace_refusal(()))
_, writing = os.pipe()
code = "import sys; print(sys.argv[-4:-2])"
command = keeper.command(
    [sys.executable, "-c", code], fd=writing, parent=os.getppid(), own_processes=True, writable=()
)
os.set_inheritable(writing, True)
sys.stdout.flush()
os.execv(command[0], command)
"""
    try:
        ran = subprocess.run([sys.executable, "-S", "-c", forbid], capture_output=True, text=True, timeout=60)
    except OSError as error:
        pytest.skip(str(error))
    if "unshare" in ran.stderr:
        pytest.skip("user namespaces are forbidden here")
    reason, words = ran.stdout.splitlines()
    assert reason != "None", ran.stderr
    assert words.startswith("['--unkept', 'processes: the system refuses a namespace")
