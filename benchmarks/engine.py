"""An engine process alone: from RunJob to JobDone over the pipe, without a database or HTTP. Prints JSON.

``python benchmarks/engine.py [--jobs 1000] [--comfyui DIR[:PYTHON]]``: Safelight's own engine, or a ComfyUI. Times are
in milliseconds: ``round_trip`` is measured by the server, ``engine`` is the device time that the engine reports.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from safelight.core.worker import SlotId
from safelight.dispatch.backends.local import LocalBackend
from safelight.wire.config import EngineConfig
from safelight.wire.messages import JobDone, Pong, Ready, RunJob, ToServer

SLOT = SlotId("bench")


class Listener:
    def __init__(self) -> None:
        self.received: asyncio.Queue[ToServer] = asyncio.Queue()

    def engine_ready(self, slot: SlotId, ready: Ready) -> None:
        self.received.put_nowait(ready)

    def engine_message(self, slot: SlotId, message: ToServer) -> None:
        self.received.put_nowait(message)

    def engine_lost(self, slot: SlotId, reason: str) -> None:
        raise SystemExit(f"the engine was lost: {reason}")

    async def until(self, kind: type[Any]) -> Any:
        while not isinstance(message := await self.received.get(), kind):
            pass
        return message


def two_calls(value: int) -> dict[str, Any]:
    return {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": value}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }


def two_cached_calls(value: int) -> dict[str, Any]:
    return two_calls(-1)


def two_hundred_calls(value: int) -> dict[str, Any]:
    prompt = {f"a{i}": {"class_type": "PrimitiveInt", "inputs": {"value": value * 1000 + i}} for i in range(100)}
    shown = {f"b{i}": {"class_type": "PreviewAny", "inputs": {"source": [f"a{i}", 0]}} for i in range(100)}
    return prompt | shown


async def measure(
    backend: LocalBackend, listener: Listener, graph: Callable[[int], dict[str, Any]], jobs: int
) -> dict[str, Any]:
    round_trips, engine = [], []
    with tempfile.TemporaryDirectory() as staging:
        for number in range(-5, jobs):
            prompt = graph(number)
            targets = [i for i, n in prompt.items() if n["class_type"] == "PreviewAny"]
            job = RunJob(job_id=f"{number}", attempt=1, owner_id="u", prompt=prompt, targets=targets, staging=staging)
            started = time.perf_counter()
            backend.send(SLOT, job)
            done: JobDone = await listener.until(JobDone)
            if number >= 0:
                round_trips.append((time.perf_counter() - started) * 1000)
                engine.append(done.device_s * 1000)
    return {"round_trip": quantiles(round_trips), "engine": quantiles(engine)}


def quantiles(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100)
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3)}


async def main(jobs: int, comfyui: str) -> None:
    config = EngineConfig(device="cpu")
    if comfyui:
        root, _, python = comfyui.partition(":")
        config = EngineConfig(device="cpu", kind="comfyui", root=root, python=python)
    backend, listener = LocalBackend({SLOT: config}, environment=os.environ), Listener()
    started = time.perf_counter()
    await backend.start(listener)
    await listener.until(Ready)
    results: dict[str, Any] = {"ready_s": round(time.perf_counter() - started, 2)}
    for graph, count in ((two_calls, jobs), (two_cached_calls, jobs), (two_hundred_calls, max(jobs // 50, 2))):
        results[graph.__name__] = await measure(backend, listener, graph, count)
    pong: Pong = await listener.until(Pong)
    results["engine_rss_bytes"] = pong.rss
    await backend.stop()
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--comfyui", default="", help="the folder of a ComfyUI, and its Python after a colon")
    options = parser.parse_args()
    asyncio.run(main(options.jobs, options.comfyui))
