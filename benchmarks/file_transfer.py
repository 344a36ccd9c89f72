"""``python -m benchmarks.file_transfer [--megabytes N] [--rounds N]``: the cost of copying files between
workers' machines and the store.

Two servers on this machine have their bytes in one S3 store (SeaweedFS) and their workers on one Ray cluster. One
server shares a folder with its workers; for the other, the machine copies the files (``ray_scratch``). A job reads a
new input file and writes an output of the same size. The servers take turns. On one machine the shared folder is as
fast as a disk; a network folder is slower.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import aiohttp
from benchmarks.client import Client
from benchmarks.own_server import OwnServer, own_server
from rich.console import Console
from rich.table import Table
from tests import ray_cluster, seaweedfs

RESULTS = Path(__file__).parent / "results"
PACK = """
from safelight.sdk import current


class CopyFile:
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING", {})}}

    def run(self, name):
        file = current().open_series("copy").file(0, ".bin")
        file.path.write_bytes(current().input_path(name).read_bytes()[::-1])
        return {"ui": {"files": [file.as_dict()]}}


NODE_CLASS_MAPPINGS = {"CopyFile": CopyFile}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "packs").mkdir()
        (folder / "packs" / "copy_file.py").write_text(PACK)
        nodes = stack.enter_context(ray_cluster.running(slots=2))
        store = stack.enter_context(seaweedfs.running())
        servers: dict[str, OwnServer] = {}
        for name, scratch in (("shared", ""), ("copied", str(folder / "scratch"))):
            environment = {
                "SAFELIGHT_BACKEND": "ray",
                "SAFELIGHT_RAY_ADDRESS": nodes.address,
                "SAFELIGHT_RAY_SCRATCH": scratch,
                "SAFELIGHT_CUSTOM_NODES": str(folder / "packs"),
                **store.environment(name),
            }
            servers[name] = stack.enter_context(own_server(environment=environment))
        found = asyncio.run(measure(servers, megabytes=options.megabytes, rounds=options.rounds))
    report = {**found, "ratio": found["copied"] / found["shared"]}
    table = Table(*report, title=f"a job that reads and writes {options.megabytes} MB, seconds, medians of turns")
    table.add_row(*(f"{value:.3f}" for value in report.values()))
    Console().print(table)
    (RESULTS / "file_transfer.json").write_text(json.dumps(vars(options) | report, indent=2) + "\n", "utf-8")


async def measure(servers: Mapping[str, OwnServer], *, megabytes: int, rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in servers}
    for number in range(rounds + 1):  # the first round opens connections and is not counted
        for name, server in servers.items():
            async with Client.connect(server.url) as client:
                file = f"{number}.bin"
                form = aiohttp.FormData()
                form.add_field("image", os.urandom(megabytes * 10**6), filename=file)
                async with client.http.post("/api/upload/image", data=form) as answer:
                    answer.raise_for_status()
                start = time.perf_counter()
                job_id = await client.submit({"1": {"class_type": "CopyFile", "inputs": {"name": file}}})
                seconds = await client.ended(job_id) - start
                async with client.http.get(f"/api/jobs/{job_id}") as answer:
                    assert (await answer.json())["status"] == "completed"
                if number:
                    times[name].append(seconds)
    return {name: median(all_) for name, all_ in times.items()}


if __name__ == "__main__":
    main()
