"""``python -m benchmarks.scaling [--only replicas|sockets|workers]``: how latency and throughput scale.

``replicas``: latency from a node to a client on a socket of another server on the same PostgreSQL, compared with a
socket of the server that has the worker. ``sockets``: 1,000 open sockets of four users on one server, while a node
sends 1,000 events a second to one of them, and while each of 250 sockets receives four a second. ``workers``: jobs that
sleep for 200 ms on 1, 2 and 4 workers. Everything runs on this machine, so all times are from one clock.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from benchmarks.measurements import Result, spread
from rich.console import Console
from rich.table import Table
from tests import postgres
from tests.cli.server import Server, running, safelight, wait_for_nodes

RESULTS = Path(__file__).parent / "results"
PACK = """
import time

from server import PromptServer


class Ticks:
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        seed = ("INT", {"max": 2**53})
        return {"required": {"count": ("INT", {"max": 10**9}), "rate": ("FLOAT", {"max": 1e9}), "seed": seed}}

    def run(self, count, rate, seed):
        begun = time.perf_counter()
        for number in range(count):
            wait = begun + number / rate - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            PromptServer.instance.send_sync("benchmark.tick", {"at": time.time()})
        return {"ui": {}}


class Sleeps:
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seconds": ("FLOAT", {"max": 1e6}), "seed": ("INT", {"max": 2**53})}}

    def run(self, seconds, seed):
        time.sleep(seconds)
        return {"ui": {}}


NODE_CLASS_MAPPINGS = {"Ticks": Ticks, "Sleeps": Sleeps}
"""
SOCKETS, USERS = 1_000, 4
SLEEP_S, JOBS_A_WORKER = 0.2, 50
TARGETS = {"replicas.there.p50_ms": 80.0, "sockets.one.p99_ms": 50.0, "sockets.many.p99_ms": 50.0}
"""Upper limits."""


def main() -> None:
    measurements: Mapping[str, Callable[[Path], Result]] = {
        "replicas": replicas,
        "sockets": sockets,
        "workers": workers,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=measurements)
    only = parser.parse_args().only
    path = RESULTS / "scaling.json"
    report: dict[str, float] = json.loads(path.read_text()) if only and path.exists() else {}
    for name, measure in measurements.items():
        if only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                packs = Path(folder) / "packs"
                packs.mkdir()
                (packs / "benchmark_nodes.py").write_text(PACK)
                report |= {f"{name}.{key}": round(value, 3) for key, value in measure(Path(folder)).items()}
    report["load"] = round(os.getloadavg()[0], 2)
    path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    table = Table("measurement", "", "target")
    for key, value in report.items():
        table.add_row(key, f"{value:,.3f}", f"<= {TARGETS[key]:g}" if key in TARGETS else "")
    Console().print(table)


def start(stack: ExitStack, folder: Path, *options: str, is_open: bool = True, **environment: str) -> Server:
    own = {"SAFELIGHT_WEB": "0", "SAFELIGHT_CUSTOM_NODES": str(folder / "packs"), "SAFELIGHT_LOG_LEVEL": "warning"}
    server = stack.enter_context(running(folder / "data", *options, environment=own | environment))
    if is_open:
        wait_for_nodes(server.url)
    return server


# -- from engine to socket, here and on another server --


def replicas(folder: Path) -> Result:
    with ExitStack() as stack:
        url = postgres.create_database(stack.enter_context(postgres.server(fsync=True)), "scaling")
        shared = {"SAFELIGHT_DATABASE_URL": url, "SAFELIGHT_REPLICAS": "1"}
        leader, other = (start(stack, folder, **shared) for _ in range(2))
        return asyncio.run(_replicas(leader.url, other.url))


async def _replicas(leader: str, other: str) -> Result:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        near, far = [await stack.enter_async_context(ticks(http, url, "bench")) for url in (leader, other)]
        await submit(http, leader, "Ticks", "bench", count=600, rate=60.0, seed=1)
        await receive_all(near, 600)
        await receive_all(far, 600)
        here, there = spread(near), spread(far)
    return {
        **{f"here.{key}": value for key, value in here.items()},
        **{f"there.{key}": value for key, value in there.items()},
        "there_by_here": there["p50_ms"] / here["p50_ms"],
    }


# -- many sockets --


def sockets(folder: Path) -> Result:
    with ExitStack() as stack:
        keys = []
        for number in range(USERS):
            name, data = f"user-{number}", str(folder / "data")
            for arguments in (("user", "add", "--no-password", name), ("key", "create", name)):
                done = safelight(*arguments, "--data-dir", data)
                assert done.returncode == 0, done.stderr
            keys.append(done.stdout.strip())
        server = start(stack, folder, is_open=False)
        return asyncio.run(_sockets(server.url, keys))


async def _sockets(url: str, keys: Sequence[str]) -> Result:
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        received_by: list[list[float]] = []
        for number in range(SOCKETS):
            key = keys[number % USERS]
            received_by.append(await stack.enter_async_context(ticks(http, url, f"client-{number}", key=key)))
        await submit(http, url, "Ticks", "client-0", key=keys[0], count=10_000, rate=1_000.0, seed=1)
        await receive_all(received_by[0], 10_000)
        one = spread(received_by[0])
        for times in received_by:
            times.clear()
        await submit(http, url, "Ticks", "nobody", key=keys[0], count=40, rate=4.0, seed=2)
        mine = received_by[0::USERS]
        for times in mine:
            await receive_all(times, 40)
        many = spread([time for times in mine for time in times])
    return {**{f"one.{key}": value for key, value in one.items()}, **{f"many.{k}": v for k, v in many.items()}}


# -- workers --


def workers(folder: Path) -> Result:
    rates = {}
    for count in (1, 2, 4):
        with ExitStack() as stack:
            server = start(stack, folder / str(count), "--workers", str(count), **_of(folder))
            rates[count] = asyncio.run(_throughput(server.url, count))
    return {
        **{f"jobs_per_s_{count}": rate for count, rate in rates.items()},
        **{f"linear_{count}": rate / rates[1] / count for count, rate in rates.items() if count > 1},
    }


def _of(folder: Path) -> Mapping[str, str]:
    return {"SAFELIGHT_CUSTOM_NODES": str(folder / "packs")}


async def _throughput(url: str, count: int) -> float:
    async with aiohttp.ClientSession(url) as http:
        await _ready(http, count)
        async with asyncio.TaskGroup() as group:  # each engine's first job also loads what is loaded once
            for seed in range(4 * count):
                group.create_task(submit(http, "", "Sleeps", "x", seconds=0.2, seed=seed))
        await _ended(http, 4 * count)
        jobs = JOBS_A_WORKER * count
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for seed in range(jobs):
                group.create_task(submit(http, "", "Sleeps", "x", seconds=SLEEP_S, seed=1_000 + seed))
        await _ended(http, 4 * count + jobs)
        return jobs / (time.perf_counter() - begun)


async def _ready(http: aiohttp.ClientSession, count: int) -> None:
    while True:
        async with http.get("/api/admin/packs") as answer:
            if len((await answer.json())["slots"]) >= count:
                return
        await asyncio.sleep(0.1)


async def _ended(http: aiohttp.ClientSession, count: int) -> None:
    while True:
        async with http.get("/api/jobs?status=completed,failed&limit=1") as answer:
            if (await answer.json())["pagination"]["total"] >= count:
                return
        await asyncio.sleep(0.02)


# -- a client --


@asynccontextmanager
async def ticks(http: aiohttp.ClientSession, url: str, client_id: str, *, key: str = "") -> AsyncIterator[list[float]]:
    """Seconds between sending and receiving each tick."""
    times: list[float] = []
    headers = {"X-API-Key": key} if key else {}
    async with http.ws_connect(f"{url}/ws?clientId={client_id}", headers=headers, max_msg_size=0) as socket:

        async def listen() -> None:
            async for frame in socket:
                note(frame, time.time())

        def note(frame: aiohttp.WSMessage, now: float) -> None:
            if frame.type is aiohttp.WSMsgType.TEXT and '"benchmark.tick"' in frame.data:
                times.append(now - json.loads(frame.data)["data"]["at"])

        listening = asyncio.create_task(listen())
        try:
            yield times
        finally:
            listening.cancel()


async def receive_all(times: Sequence[float], count: int) -> None:
    async with asyncio.timeout(60):
        while True:
            if len(times) >= count:
                return
            await asyncio.sleep(0.05)


async def submit(
    http: aiohttp.ClientSession, url: str, node: str, client_id: str, *, key: str = "", **inputs: Any
) -> str:
    body = {"prompt": {"1": {"class_type": node, "inputs": inputs}}, "client_id": client_id}
    async with http.post(f"{url}/api/prompt", json=body, headers={"X-API-Key": key} if key else {}) as answer:
        if answer.status != 200:
            raise RuntimeError(f"POST /api/prompt answered {answer.status}: {(await answer.text())[:300]}")
        return str((await answer.json())["prompt_id"])


if __name__ == "__main__":
    main()
