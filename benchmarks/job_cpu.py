"""``python -m benchmarks.job_cpu``: CPU time of server and engine for one trivial job, and what it cannot be below.

Starts a server, and one of another installation (``--reference PYTHON``), and runs jobs on each in turn, in several
rounds: one after the other, then many at once. CPU time is that of the processes (``/proc``), so that other work on the
machine changes it less than the time on the clock. ``--peer URL --peer-pid PID`` is a running ComfyUI, which is server
and engine in one.
"""

import argparse
import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.client import Client
from benchmarks.measurements import burst, sequential
from benchmarks.own_server import own_server

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass
class Subject:
    """Mutable: milliseconds for one job, by measure; one value for each round."""

    name: str
    url: str
    pid: int
    offset: int = 0
    found: dict[str, list[float]] = field(default_factory=dict)

    def note(self, measure: str, value: float) -> None:
        self.found.setdefault(measure, []).append(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reference", help="the Python of another installation of Safelight")
    parser.add_argument("--peer", help="the URL of a running ComfyUI")
    parser.add_argument("--peer-pid", type=int)
    options = parser.parse_args()
    with ExitStack() as stack:
        ours = stack.enter_context(own_server())
        subjects = [Subject("this", ours.url, ours.pid)]
        if options.reference:
            other = stack.enter_context(own_server(python=options.reference))
            subjects.append(Subject("reference", other.url, other.pid))
        if options.peer:
            subjects.append(Subject("peer", options.peer, options.peer_pid))
        for _ in range(options.rounds):
            for subject in subjects:
                asyncio.run(_round(subject, jobs=options.jobs))
    _print(subjects)


async def _round(subject: Subject, *, jobs: int) -> None:
    async with Client.connect(subject.url) as client:
        for name, run in (("sequential", sequential), ("burst", burst)):
            subject.offset += jobs
            before, since_s = _cpu_s(subject.pid), time.perf_counter()
            result = await run(client, jobs=jobs, offset=subject.offset)
            took_s, after = time.perf_counter() - since_s, _cpu_s(subject.pid)
            for part in before:
                subject.note(f"{name}: CPU of the {part}", (after[part] - before[part]) / jobs * 1000)
            subject.note(f"{name}: clock", took_s / jobs * 1000)
            if name == "sequential":
                subject.note("sequential: p50", result["p50_ms"])


def _cpu_s(pid: int) -> dict[str, float]:
    """Of the server process, and of the engine processes below it."""
    engines = [child for child in _below(pid) if "safelight.runtime.main" in _command(child)]
    return {"server": _seconds(pid), "engine": sum(map(_seconds, engines))}


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def _below(pid: int) -> Iterable[int]:
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, tasks.read_text().split()):
            yield child
            yield from _below(child)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


# -- what it cannot be below --


def _floors() -> dict[str, float]:
    """Milliseconds, the median of each."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            "fdatasync of 4 KiB": _fdatasync(Path(folder, "log")),
            "round trip through pipes": _round_trip(),
            "insert of one row, committed without a sync": _insert(Path(folder, "rows.db")),
        }


def _timed(act: Callable[[], object], *, times: int = 300) -> float:
    found = []
    for _ in range(times):
        since_s = time.perf_counter()
        act()
        found.append(time.perf_counter() - since_s)
    return median(found) * 1000


def _fdatasync(path: Path) -> float:
    page = b"x" * 4096
    with path.open("wb", buffering=0) as file:

        def append() -> None:
            file.write(page)
            os.fdatasync(file.fileno())

        return _timed(append)


def _round_trip() -> float:
    there, back = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(there[1])
        while data := os.read(there[0], 1):
            os.write(back[1], data)
        os._exit(0)
    took = _timed(lambda: (os.write(there[1], b"x"), os.read(back[0], 1)))
    os.close(there[1])
    os.waitpid(child, 0)
    return took


def _insert(path: Path) -> float:
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("PRAGMA synchronous=OFF")
    conn.execute("CREATE TABLE job (id TEXT PRIMARY KEY, state TEXT, content TEXT)")
    row = "x" * 500
    took = _timed(lambda: conn.execute("INSERT INTO job VALUES (?, 'queued', ?)", (os.urandom(16).hex(), row)))
    conn.close()
    return took


def _print(subjects: list[Subject]) -> None:
    ours = subjects[0]
    print(f"{'milliseconds for one job':40}" + "".join(f"{s.name:>12}{'ratio':>8}" for s in subjects))
    for measure, values in ours.found.items():
        cells = []
        for subject in subjects:
            found = subject.found.get(measure)
            shown = f"{median(found):12.2f}" if found else f"{'':12}"
            ratio = median(values) / median(found) if found and median(found) else None
            cells.append(shown + (f"{ratio:8.2f}" if ratio else f"{'':8}"))
        print(f"{measure:40}" + "".join(cells))
    for name, took in _floors().items():
        print(f"{'floor: ' + name:52}{took:.3f}")


if __name__ == "__main__":
    main()
