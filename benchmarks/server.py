"""``python -m benchmarks.server [--peer URL]``: how fast the server is, alone or compared with another one.

Starts a Safelight server and measures it. Measures the peer (any server of the Comfy API on this machine) in turn, one
measurement after the other, so that both run under the same conditions. Prints a table and writes JSON.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import measurements
from benchmarks.client import Client
from benchmarks.own_server import OwnServer, own_server
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"

TARGETS: Mapping[str, float] = {
    "start.health_s": 1.5,
    "memory.idle_mb": 150,
    "trivial_sequential.p50_ms": 8,
    "object_info.p50_ms": 5,
    "jobs_of_many.p50_ms": 5,
    "held_lock.jobs.times_idle": 2,
    "held_lock.object_info.times_idle": 2,
    "held_lock.submit.times_idle": 2,
}
"""Upper limits; ``trivial_burst.jobs_per_s`` must be at least 200."""

LEAST: Mapping[str, float] = {"trivial_burst.jobs_per_s": 200}


def main() -> None:
    arguments = _arguments()
    with own_server() as ours:
        report = asyncio.run(_measure(ours, arguments.peer, jobs=arguments.jobs))
    report["machine"] = {
        "cpus": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    _print(report)
    path = arguments.output or RESULTS / f"server-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {path}", file=sys.stderr)


async def _measure(ours: OwnServer, peer: str | None, *, jobs: int) -> dict[str, Any]:
    await asyncio.sleep(2)  # let the garbage and the load of the start go
    results: dict[str, dict[str, Any]] = {
        "safelight": {
            "start": {"health_s": ours.health_s, "first_worker_s": ours.ready_s},
            "memory": {"idle_mb": ours.rss_bytes() / 2**20},
        }
    }
    async with AsyncExitStack() as stack:
        clients = {"safelight": await stack.enter_async_context(Client.connect(ours.url))}
        if peer:
            clients["peer"] = await stack.enter_async_context(Client.connect(peer))

        async def each(name: str, measure: Callable[[Client], Awaitable[Any]]) -> None:
            for server, client in clients.items():
                print(f"{name} ({server}) ...", file=sys.stderr)
                results.setdefault(server, {})[name] = await measure(client)

        await each("trivial_sequential", lambda client: measurements.sequential(client, jobs=200))
        await each("trivial_burst", lambda client: measurements.burst(client, jobs=200, offset=2_000_000))
        await each("object_info", lambda client: measurements.reading(client, "/api/object_info", requests=240))
        for server, client in clients.items():
            print(f"running {jobs} jobs to fill the history ({server}) ...", file=sys.stderr)
            await measurements.fill(client, jobs=jobs)
        path = "/api/jobs?limit=20"
        await each("jobs_of_many", lambda client: measurements.reading(client, path, requests=200, connections=1))
        await each("held_lock", measurements.under_a_held_lock)
    results["safelight"]["memory"]["after_mb"] = ours.rss_bytes() / 2**20
    return {"jobs_in_history": jobs, "results": {name: _flat(result) for name, result in results.items()}}


def _flat(result: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = round(value, 3)
    return flat


def _print(report: Mapping[str, Any]) -> None:
    ours, peer = report["results"]["safelight"], report["results"].get("peer", {})
    table = Table("measurement", "safelight", "target", *(["peer", "peer / safelight"] if peer else []))
    for name, value in ours.items():
        target = f"<= {TARGETS[name]:g}" if name in TARGETS else f">= {LEAST[name]:g}" if name in LEAST else ""
        missed = value > TARGETS.get(name, value) or value < LEAST.get(name, value)
        cells = [name, f"{'[red]' if missed else ''}{value:,.2f}", target]
        if peer:
            other = peer.get(name)
            cells += [f"{other:,.2f}", f"{other / value:.2f}"] if other is not None and value else ["", ""]
        table.add_row(*cells)
    Console(width=max(Console().width, 110)).print(table)  # names are not truncated if the output is a file


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=_loopback, help="URL of another server of the Comfy API on this machine")
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs in the history for /api/jobs (default: 10000)")
    parser.add_argument("--output", type=Path, help="file for the JSON (default: in benchmarks/results/)")
    return parser.parse_args()


def _loopback(url: str) -> str:
    if urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise argparse.ArgumentTypeError("a benchmark runs against this machine only")
    return url.rstrip("/")


if __name__ == "__main__":
    main()
