"""``python -m benchmarks.flood``: other users' latency while clients send prompts with 200,000 file names.

Starts a server, measures ``GET /api/jobs`` and ``/health`` while it is idle, then again while three clients
continuously send such prompts. Some kinds of prompt are refused and some are accepted; only other users' latency
counts. Prints p50 and p99 of both, their ratio, and the time until a prompt's own response.
"""

import argparse
import asyncio
import json
import time
from contextlib import suppress
from typing import Any

import aiohttp
from benchmarks.measurements import Result, spread
from benchmarks.own_server import own_server

CLIENTS = 3
NAMES = 200_000
NODES = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each flood lasts (default 10)")
    options = parser.parse_args()
    with own_server() as ours:
        asyncio.run(_measure(ours.url, seconds=options.seconds))


def floods() -> dict[str, bytes]:
    """Return bodies of ``POST /api/prompt`` by a description of their content."""
    digests = [f"{number:064x}.png" for number in range(NAMES)]
    folders = [f"folder{number}/a.png" for number in range(NAMES)]
    load = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
    blank = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
    bodies: dict[str, Any] = {
        "200,000 digests in one input": {"1": load, "2": {"class_type": "PreviewAny", "inputs": {"source": digests}}},
        "200,000 folders in one input": {"1": load, "2": {"class_type": "PreviewAny", "inputs": {"source": folders}}},
        "19,000 digests in one input": {
            "1": load,
            "2": {"class_type": "PreviewAny", "inputs": {"source": digests[:19_000]}},
        },
        "100,000 nodes": {str(number): blank for number in range(NODES)},
        "10,000 nodes": {str(number): blank for number in range(NODES // 10)},
    }
    return {name: json.dumps({"prompt": prompt}).encode() for name, prompt in bodies.items()}


async def _measure(url: str, *, seconds: float) -> None:
    async with aiohttp.ClientSession() as session:
        idle = await _others(session, url, seconds=seconds / 2)
        for name, body in floods().items():
            own: list[float] = []
            flooding = [asyncio.create_task(_flood(session, url, body, own)) for _ in range(CLIENTS)]
            try:
                flooded = await _others(session, url, seconds=seconds)
            finally:
                for task in flooding:
                    task.cancel()
                await asyncio.gather(*flooding, return_exceptions=True)
            _print(name, idle, flooded, own)


async def _others(session: aiohttp.ClientSession, url: str, *, seconds: float) -> dict[str, Result]:
    paths = {"jobs": f"{url}/api/jobs?limit=20", "health": f"{url}/health"}
    taken: dict[str, list[float]] = {name: [] for name in paths}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for name, address in paths.items():
            begun = time.perf_counter()
            await _get(session, address)
            taken[name].append(time.perf_counter() - begun)
        await asyncio.sleep(0.01)
    return {name: spread(times) for name, times in taken.items()}


async def _flood(session: aiohttp.ClientSession, url: str, body: bytes, own: list[float]) -> None:
    while True:
        begun = time.perf_counter()
        with suppress(aiohttp.ClientError):
            async with session.post(f"{url}/api/prompt", data=body) as answer:
                await answer.read()
        own.append(time.perf_counter() - begun)


async def _get(session: aiohttp.ClientSession, address: str) -> int:
    async with session.get(address) as answer:
        await answer.read()
        return answer.status


def _print(name: str, idle: dict[str, Result], flooded: dict[str, Result], own: list[float]) -> None:
    print(f"{name}: {len(own)} prompts answered" + (f", the slowest in {max(own):.1f} s" if own else ""))
    for what, before in idle.items():
        after = flooded[what]
        times = after["p50_ms"] / before["p50_ms"]
        print(
            f"  {what}: p50 {before['p50_ms']:.1f} -> {after['p50_ms']:.1f} ms ({times:.1f} times),"
            f" p99 {before['p99_ms']:.1f} -> {after['p99_ms']:.1f} ms, max {after['max_ms']:.0f} ms"
        )


if __name__ == "__main__":
    main()
