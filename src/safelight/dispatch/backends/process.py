"""One engine process, as the operating system sees it: its group, its pipe, its output, its end.

A keeper (``sandbox/keeper.py``) runs between the server and the engine: one signal to it ends the engine and all
processes that the engine has started, and none of them outlives the keeper or the server. The engine gets only a few of
the server's environment variables. The keeper's end is detected immediately: a thread waits for it without reaping it,
so that no other process can get its id before the rest of its group has been killed.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from safelight.sandbox import keeper, system
from safelight.sandbox.rules import Rules
from safelight.wire.config import DEVICE_LOST_STATUS, OUT_OF_MEMORY, OUT_OF_MEMORY_STATUS

KEPT_VARIABLES = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV"}
    | {"LD_LIBRARY_PATH", "LD_PRELOAD", "SSL_CERT_FILE", "SSL_CERT_DIR"}
)
KEPT_PREFIXES = (
    *("LC_", "XDG_", "CUDA_", "NVIDIA_", "NCCL_", "HIP_", "HSA_", "ROCR_", "PYTORCH_", "TORCH_", "TRITON_"),
    *("ZE_", "SYCL_", "OMP_", "MKL_", "OPENBLAS_", "MALLOC_"),
)

MAX_LINE_BYTES = 8192
"""Longer lines of output are split."""


def scrub(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of the server's environment that engines get: paths, locale, devices, threads; no keys, no settings."""
    return {k: v for k, v in environment.items() if k in KEPT_VARIABLES or k.startswith(KEPT_PREFIXES)}


class EngineProcess:
    """A running process. ``on_exit`` is called once, on the event loop, with a description of the end."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket, output: int) -> None:
        self._process = process
        self.sock = sock
        self.output = os.fdopen(output, "rb", 0)
        self._is_over = False

    @classmethod
    def spawn(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        on_exit: Callable[[str], None],
        rules: Rules | None = None,
    ) -> "EngineProcess":
        """Start ``command --fd N --parent PID --server PID`` under a keeper, in its own process namespace if the
        ``rules`` say so. Raises :class:`OSError` if it cannot be started."""
        if shutil.which(command[0]) is None:
            raise FileNotFoundError(f"program {command[0]!r} not found")
        ours, theirs = socket.socketpair()
        output, output_of_child = os.pipe()
        try:
            process = subprocess.Popen(
                keeper.command(
                    command,
                    fd=theirs.fileno(),
                    parent=os.getpid(),
                    own_processes=rules is not None and rules.own_processes,
                    writable=rules.writable if rules is not None else None,
                ),
                stdin=subprocess.DEVNULL,
                stdout=output_of_child,
                stderr=output_of_child,
                pass_fds=(theirs.fileno(),),
                env=dict(environment),
                start_new_session=True,
                preexec_fn=system.die_with_parent if system.IS_LINUX else None,  # before a signal could stop it
            )
        except OSError:
            ours.close()
            os.close(output)
            raise
        finally:
            theirs.close()
            os.close(output_of_child)
        ours.setblocking(False)
        engine = cls(process, ours, output)
        loop = asyncio.get_running_loop()

        def wait() -> None:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            loop.call_soon_threadsafe(lambda: on_exit(engine._end()))

        threading.Thread(target=wait, name=f"engine-{process.pid}", daemon=True).start()
        return engine

    @property
    def pid(self) -> int:
        """The id of the keeper."""
        return self._process.pid

    @property
    def engine_pid(self) -> int | None:
        """The id of the engine; ``None`` before it has started and after it has ended."""
        return engine_below(self.pid)

    def kill(self) -> None:
        """End the engine and all processes that it has started."""
        if not self._is_over:
            os.kill(self.pid, signal.SIGTERM)
            os.kill(self.pid, signal.SIGCONT)  # a stopped keeper must handle the signal too

    def rss(self) -> int:
        """Resident memory in bytes; 0 if the system does not report it."""
        try:
            with open(f"/proc/{self.engine_pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0

    def is_stopped(self) -> bool:
        """Whether a signal has stopped the engine; false if the system does not report it."""
        try:
            with open(f"/proc/{self.engine_pid}/stat", "rb") as file:
                return file.read().rpartition(b") ")[2][:1] == b"T"
        except OSError:
            return False

    def _end(self) -> str:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._is_over = True
        return describe_exit(self._process.wait())


def engine_below(pid: int) -> int | None:
    """The id of the engine below the keeper ``pid``; ``None`` if there is none."""
    try:
        while Path("/proc", str(pid), "comm").read_text().strip() in keeper.NAMES:
            children = Path("/proc", str(pid), "task", str(pid), "children").read_text().split()
            pid = int(children[0])  # processes that the keeper has adopted come after it
    except (OSError, IndexError):
        return None
    return pid


def describe_exit(status: int) -> str:
    if status == OUT_OF_MEMORY_STATUS:
        return OUT_OF_MEMORY
    if status == DEVICE_LOST_STATUS:
        return "the worker's device failed and needs a fresh process"
    if status >= 0:
        return f"the worker process ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "unknown"
    return f"the worker process was killed by signal {-status} ({name})"


class OutputLines(asyncio.Protocol):
    """Splits the output of a process into lines. ``ended`` is done when no process can print any more."""

    def __init__(self, on_lines: Callable[[list[str]], None]) -> None:
        self._on_lines = on_lines
        self._rest = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest[:MAX_LINE_BYTES])
            self._rest = self._rest[MAX_LINE_BYTES:]
        if lines:
            self._on_lines([_shown(line) for line in lines])

    def connection_lost(self, error: Exception | None) -> None:
        if self._rest:
            self._on_lines([_shown(self._rest)])
        if not self.ended.done():
            self.ended.set_result(None)


def _shown(line: bytes) -> str:
    """The line; if a progress bar has rewritten it, its last state."""
    return line.removesuffix(b"\r").rsplit(b"\r", 1)[-1].decode("utf-8", "replace")
