"""``python -m benchmarks.ray_overhead [--rounds N]``: the additional cost of a job if workers run on a Ray cluster.

Two servers on this machine: one with a local worker, one with a worker on a Ray cluster of one node that the benchmark
starts. They are measured in turn, in rounds, with trivial jobs one after the other (from before the submit to the final
message), then with a burst.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.client import Client
from benchmarks.measurements import Result, burst, sequential
from benchmarks.own_server import own_server
from rich.console import Console
from rich.table import Table
from tests import ray_cluster

RESULTS = Path(__file__).parent / "results"
JOBS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with ray_cluster.running(slots=1) as nodes:
        settings = {"SAFELIGHT_BACKEND": "ray", "SAFELIGHT_RAY_ADDRESS": nodes.address}
        with own_server() as local, own_server(environment=settings) as remote:
            report = asyncio.run(measure({"local": local.url, "ray": remote.url}, rounds=rounds))
            report["local"] |= {"ready_s": local.ready_s, "server_rss_mib": local.rss_bytes() / 2**20}
            report["ray"] |= {"ready_s": remote.ready_s, "server_rss_mib": remote.rss_bytes() / 2**20}
    report["ratio"] = {key: report["ray"][key] / report["local"][key] for key in report["local"]}
    show(report)
    (RESULTS / "ray_overhead.json").write_text(json.dumps({"rounds": rounds, **report}, indent=2) + "\n", "utf-8")


async def measure(urls: Mapping[str, str], *, rounds: int) -> dict[str, Result]:
    """Return medians over the rounds, in which the servers take turns."""
    found: dict[str, list[Result]] = {name: [] for name in urls}
    for number in range(rounds):
        for name, url in urls.items():
            async with Client.connect(url) as client:
                result = dict(await sequential(client, jobs=JOBS))
                result |= await burst(client, jobs=JOBS, offset=2_000_000 + number * JOBS)
                found[name].append(result)
    return {name: {key: median(each[key] for each in all_) for key in all_[0]} for name, all_ in found.items()}


def show(report: Mapping[str, Result]) -> None:
    table = Table("", *report, title=f"{JOBS} trivial jobs, medians of rounds in turn")
    for key in report["local"]:
        table.add_row(key, *(f"{report[name][key]:.2f}" for name in report))
    Console().print(table)


if __name__ == "__main__":
    main()
