"""The measurements. Each takes a client, makes a bounded number of requests, and returns plain numbers."""

import asyncio
import re
import time
from collections.abc import Mapping
from statistics import quantiles

from benchmarks.client import BACKTRACKS, Client, regex_bomb, trivial

Result = Mapping[str, float]

AS_BROWSERS = "gzip, deflate, br, zstd"
HOLD_S = 1.5
"""How long a node holds the interpreter's lock with the standard library's engine, if nothing ends it. Safelight's
engine takes two to three times as long, and ends a pattern after 5 s."""


async def sequential(client: Client, *, jobs: int, offset: int = 1_000_000) -> Result:
    """Run one job after the other; each time is from before the submit to the final message on the socket."""
    for value in range(5):
        await client.ended(await client.submit(trivial(-value)))
    times = []
    for value in range(jobs):
        start = time.perf_counter()
        job_id = await client.submit(trivial(offset + value))
        times.append(await client.ended(job_id) - start)
    return spread(times)


async def burst(client: Client, *, jobs: int, offset: int) -> Result:
    """Submit all jobs together over eight connections; the time ends with the last job's final message."""
    start = time.perf_counter()
    gate = asyncio.Semaphore(8)

    async def submit(value: int) -> str:
        async with gate:
            return await client.submit(trivial(offset + value))

    ids = await asyncio.gather(*(submit(value) for value in range(jobs)))
    submitted = time.perf_counter()
    last = max([await client.ended(job_id, timeout_s=120) for job_id in ids])
    return {"jobs_per_s": jobs / (last - start), "submits_per_s": jobs / (submitted - start)}


async def reading(client: Client, path: str, *, requests: int, connections: int = 8) -> Result:
    """Request one path as a browser does, over several connections in parallel."""
    size = len(await client.get(path, encodings=AS_BROWSERS))
    times = await asyncio.gather(*(_read(client, path, requests=requests // connections) for _ in range(connections)))
    return {**spread([time for each in times for time in each]), "bytes": size}


async def fill(client: Client, *, jobs: int) -> None:
    """Run trivial jobs until the server has that many in its history."""
    for first in range(0, jobs, 500):
        await burst(client, jobs=min(500, jobs - first), offset=10_000_000 + first)


async def under_a_held_lock(client: Client, *, requests: int = 40) -> Mapping[str, Result]:
    """Latency of requests while a node holds the interpreter's lock and without such a node, and the time to cancel it.

    A server that runs nodes in its own process is blocked until the node ends, which limits every wait here.
    """
    idle, queued = await _request_everything(client, requests=requests)
    for other in queued:
        await client.ended(other)
    job_id = await client.submit(regex_bomb(_letters_for(HOLD_S)))
    await client.started(job_id)
    held, queued = await _request_everything(client, requests=requests)
    start = time.perf_counter()
    await client.cancel(job_id)
    cancelled = await client.ended(job_id, timeout_s=120) - start
    for other in queued:
        await client.ended(other, timeout_s=120)
    results: dict[str, Result] = {}
    for name, times in held.items():
        under_load = spread(times)
        results[name] = {**under_load, "times_idle": under_load["p50_ms"] / spread(idle[name])["p50_ms"]}
    return {**results, "cancel": {"s": cancelled}}


async def _request_everything(client: Client, *, requests: int) -> tuple[Mapping[str, list[float]], list[str]]:
    """Return times by name, and the jobs that were submitted to measure them."""
    jobs = await _read(client, "/api/jobs?limit=20", requests=requests)
    info = await _read(client, "/api/object_info", requests=requests)
    queued, submits = [], []
    for value in range(requests):
        start = time.perf_counter()
        queued.append(await client.submit(trivial(value)))
        submits.append(time.perf_counter() - start)
    return {"jobs": jobs, "object_info": info, "submit": submits}, queued


def _letters_for(seconds: float) -> int:
    """Number of letters that the regular expression needs on this machine; each letter doubles the time."""
    letters, taken = 16, 0.0
    while taken < 0.1:
        letters += 1
        start = time.perf_counter()
        re.search(BACKTRACKS, "a" * letters + "b")
        taken = time.perf_counter() - start
    while taken < seconds:
        letters, taken = letters + 1, taken * 2
    return letters


async def _read(client: Client, path: str, *, requests: int) -> list[float]:
    times = []
    for _ in range(requests):
        start = time.perf_counter()
        await client.get(path, encodings=AS_BROWSERS)
        times.append(time.perf_counter() - start)
    return times


def spread(seconds: list[float]) -> dict[str, float]:
    cuts = quantiles(seconds, n=100, method="inclusive")
    return {"p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000, "max_ms": max(seconds) * 1000}
