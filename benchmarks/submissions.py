"""``python -m benchmarks.submissions``: what a submission costs in the two APIs, and what a batch of 10,000 jobs costs.

Starts a server, pauses its queue, and submits the same graph to ``POST /api/prompt`` and ``POST /api/v2/jobs`` in turn.
Then accepts batches of 10,000 jobs, with the queue open, and measures how long a single job waits for its start
meanwhile. Prints p50 and p99, and the ratios in this run.
"""

import argparse
import asyncio
import time
import uuid
from statistics import median, quantiles
from typing import Any

import aiohttp
from benchmarks.own_server import own_server

ROUNDS = 300
BATCH = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"submissions to each API (default {ROUNDS})")
    options = parser.parse_args()
    with own_server() as ours:
        asyncio.run(_measure(ours.url, rounds=options.rounds))


def graph(color: int = 0) -> dict[str, Any]:
    blank = {"width": 8, "height": 8, "batch_size": 1, "color": color}
    return {
        "1": {"class_type": "EmptyImage", "inputs": blank},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }


async def _measure(url: str, *, rounds: int) -> None:
    async with aiohttp.ClientSession(url) as session:
        await _gate(session, "paused")
        first: list[float] = []
        second: list[float] = []
        for number in range(rounds):
            first.append(await _timed(session, "/api/prompt", {"prompt": graph(number)}))
            headers = {"Idempotency-Key": str(uuid.uuid4())}
            second.append(await _timed(session, "/api/v2/jobs", {"workflow": graph(number)}, headers))
        await session.post("/api/queue", json={"clear": True})
        one, two = median(first), median(second)
        print(f"POST /api/prompt   p50 {one * 1000:.2f} ms  p99 {_p99(first) * 1000:.2f} ms")
        print(f"POST /api/v2/jobs  p50 {two * 1000:.2f} ms  p99 {_p99(second) * 1000:.2f} ms")
        print(f"ratio of v2 to the first API: {two / one:.2f}")
        await _gate(session, "open")
        axes = {"1.color": {"from": 1, "to": BATCH}}
        begun = time.perf_counter()
        async with session.post("/api/v2/batches", json={"workflow": graph(), "axes": axes}) as response:
            batch = await response.json()
        accepted_s = time.perf_counter() - begun
        print(f"{BATCH} jobs of a batch were accepted in {accepted_s:.2f} s, {accepted_s / two:.0f} submissions")
        await asyncio.sleep(2)
        waited = [await _time_to_start(session) for _ in range(10)]
        print(f"a job of the same user started {median(waited) * 1000:.0f} ms after its submission meanwhile (p50)")
        async with session.get(batch["urls"]["self"]) as response:
            print("the batch meanwhile:", (await response.json())["counts"])
        await session.post(batch["urls"]["cancel"])


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98]


async def _timed(session: aiohttp.ClientSession, path: str, body: Any, headers: dict[str, str] | None = None) -> float:
    begun = time.perf_counter()
    async with session.post(path, json=body, headers=headers) as response:
        assert response.status in (200, 201), await response.text()
        await response.read()
    return time.perf_counter() - begun


async def _time_to_start(session: aiohttp.ClientSession) -> float:
    begun = time.perf_counter()
    async with session.post("/api/prompt", json={"prompt": graph(0), "front": True}) as response:
        job_id = (await response.json())["prompt_id"]
    while True:
        async with session.get(f"/api/v2/jobs/{job_id}") as response:
            if (await response.json())["status"] != "queued":
                return time.perf_counter() - begun
        await asyncio.sleep(0.005)


async def _gate(session: aiohttp.ClientSession, mode: str) -> None:
    async with session.put("/api/admin/schedule/queue", json={"mode": mode}) as response:
        assert response.status < 300, await response.text()


if __name__ == "__main__":
    main()
