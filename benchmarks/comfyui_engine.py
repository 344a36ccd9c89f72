"""``python -m benchmarks.comfyui_engine --comfyui DIR [--python PYTHON]``: a ComfyUI as an engine, against the same
ComfyUI by itself, in one run: its start, a trivial job, a second job with everything cached, and a saved picture, whose
bytes must be equal."""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.client import Client, trivial
from benchmarks.measurements import sequential
from benchmarks.own_server import free_port, own_server, wait_for_answer

PICTURE = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 512, "height": 512, "batch_size": 1, "color": 12345}},
    "2": {"class_type": "ImageBlur", "inputs": {"image": ["1", 0], "blur_radius": 3, "sigma": 1.0}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "benchmark/a"}},
}
WORKFLOW = {"workflow": {"nodes": [], "links": [], "version": 0.4, "name": "bénchmark"}}


@contextmanager
def comfyui_alone(root: Path, python: str, *, limit_s: float) -> Iterator[tuple[str, float]]:
    """Its address, and the seconds from its start to its list of nodes."""
    data = Path(tempfile.mkdtemp(prefix="comfyui-benchmark-"))
    for name in ("custom_nodes", "models", "input", "output", "temp", "user", "web"):
        (data / name).mkdir()
    port = free_port()
    options = ["--cpu", "--port", str(port), "--base-directory", str(data), "--front-end-root", str(data / "web")]
    start = time.perf_counter()
    process = subprocess.Popen(
        [python, "main.py", *options], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        yield url, wait_for_answer(f"{url}/object_info", start, limit_s, contains=b"PreviewAny")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        shutil.rmtree(data, ignore_errors=True)


async def measure(url: str, *, jobs: int) -> tuple[Mapping[str, float], bytes]:
    """Milliseconds of trivial jobs and of cached ones, and a saved picture."""
    async with Client.connect(url) as client:
        fresh = await sequential(client, jobs=jobs)
        cached = []
        for _ in range(jobs):
            begun = time.perf_counter()
            job_id = await client.submit(trivial(7))
            cached.append((await client.ended(job_id) - begun) * 1000)
        picture = await _picture(client)
    return {"trivial_p50_ms": fresh["p50_ms"], "cached_p50_ms": median(cached[1:])}, picture


async def _picture(client: Client) -> bytes:
    body = {"prompt": PICTURE, "client_id": client.client_id, "extra_data": {"extra_pnginfo": WORKFLOW}}
    async with client.http.post("/api/prompt", json=body) as answer:
        job_id = str((await answer.json())["prompt_id"])
    await client.ended(job_id)
    found: Any = json.loads(await client.get(f"/api/history/{job_id}"))
    [image] = found[job_id]["outputs"]["3"]["images"]
    return await client.get(f"/api/view?{urllib.parse.urlencode(image)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--limit-s", type=float, default=180)
    options = parser.parse_args()
    root = options.comfyui.resolve()
    with comfyui_alone(root, options.python, limit_s=options.limit_s) as (url, stock_start_s):
        stock, stock_picture = asyncio.run(measure(url, jobs=options.jobs))
    settings = {
        "SAFELIGHT_ENGINES": f"comfyui={root}:{options.python}",
        "SAFELIGHT_DEVICES": "cpu",
        "SAFELIGHT_WORKER_READABLE": os.environ.get("SAFELIGHT_WORKER_READABLE", ""),
    }
    with own_server(environment=settings, limit_s=options.limit_s) as server:
        ours, picture = asyncio.run(measure(server.url, jobs=options.jobs))
        start_s = server.ready_s
    print(f"{'':24}{'as an engine':>14}{'by itself':>12}{'ratio':>8}")
    rows = {"start, s": (start_s, stock_start_s)} | {name: (ours[name], stock[name]) for name in ours}
    for name, (mine, theirs) in rows.items():
        print(f"{name:24}{mine:14.2f}{theirs:12.2f}{mine / theirs:8.2f}")
    print("saved picture:", "equal bytes" if picture == stock_picture else "NOT EQUAL", len(picture), "bytes")


if __name__ == "__main__":
    main()
