"""``python -m benchmarks.lists``: pages of assets and jobs of a user who has a million of each.

Makes the rows (``many_rows.py``; takes some minutes and 3 GB of disk; ``--keep DIR`` keeps them for the next run),
starts a server on them and sends requests over eight connections: first pages and keyset pages in every order, with and
without tags and a text in the name; jobs by state, workflow, kind and duration; the histogram of tags. Prints a table
and writes JSON.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks import many_rows
from benchmarks.client import Client
from benchmarks.measurements import Result, spread
from benchmarks.own_server import own_server
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
CONNECTIONS = 8
SORTS = ("name", "created_at", "updated_at", "size", "last_access_time")
P50_MS, P99_MS = 10.0, 50.0
HISTOGRAM_MS = 100.0
DATABASE = "safelight.db"

Query = Mapping[str, str]


def main() -> None:
    arguments = _arguments()

    def prepare(data: Path) -> None:
        kept = arguments.keep / f"{arguments.rows}.db" if arguments.keep else data / DATABASE
        if not kept.exists():
            print(f"making {arguments.rows:,} assets and as many jobs ...", file=sys.stderr)
            kept.parent.mkdir(parents=True, exist_ok=True)
            many_rows.fill(kept, assets=arguments.rows, jobs=arguments.rows)
        if arguments.keep:
            shutil.copyfile(kept, data / DATABASE)

    with own_server(prepare=prepare) as ours:
        results = asyncio.run(_measure(ours.url, requests=arguments.requests))
        report = {
            "rows": arguments.rows,
            "results": results,
            "server_mb": round(ours.rss_bytes() / 2**20),
            "cpus": os.cpu_count(),
        }
    _print(results)
    path = arguments.output or RESULTS / f"lists-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {path}", file=sys.stderr)


async def _measure(url: str, *, requests: int) -> dict[str, Result]:
    rng = random.Random(many_rows.SEED)
    async with Client.connect(url) as client:
        results: dict[str, Result] = {}
        for name, path, queries in _cases(rng, requests):
            if name.endswith("keyset"):
                queries = await _next_pages(client, path, queries)
            results[name] = await _measure_queries(client, path, queries)
            print(
                f"{name}: p50 {results[name]['p50_ms']:.1f} ms, p99 {results[name]['p99_ms']:.1f} ms", file=sys.stderr
            )
        return results


def _cases(rng: random.Random, requests: int) -> Iterator[tuple[str, str, list[Query]]]:
    for sort in SORTS:
        for kind in ("plain", "tags", "name", "name and tags"):
            queries = [_assets(rng, sort, kind) for _ in range(requests)]
            yield f"assets by {sort}, {kind}, first", "/api/assets", queries
            if sort != "last_access_time":  # the contract has no cursor for it
                yield f"assets by {sort}, {kind}, keyset", "/api/assets", queries
    for name, query in _JOBS.items():
        queries = [_page(query, offset) for offset in (0, 20, 200) for _ in range(requests // 3)]
        yield f"jobs, {name}", "/api/jobs", [q | _workflow(rng, q) for q in queries]
    yield "histogram of all tags", "/api/tags", [{"limit": "100"}] * (requests // 3)
    refine = [_tags(rng) for _ in range(requests // 3)]
    yield "histogram under a filter", "/api/assets/tags/refine", refine


_JOBS: Mapping[str, Query] = {
    "all": {},
    "oldest first": {"sort_order": "asc"},
    "completed": {"status": "completed"},
    "failed": {"status": "failed"},
    "ended": {"status": "completed,failed,cancelled"},
    "active": {"status": "pending,in_progress"},
    "by duration": {"sort_by": "execution_time"},
    "completed by duration": {"sort_by": "execution_time", "status": "completed"},
    "of a workflow": {"workflow_id": "?"},
    "failed of a workflow": {"workflow_id": "?", "status": "failed"},
    "images": {"output_type": "image"},
    "videos": {"output_type": "video", "sort_order": "asc"},
    "audio": {"output_type": "audio"},
}


def _page(query: Query, offset: int) -> dict[str, str]:
    return {**query, "limit": "20", "offset": str(offset)}


def _workflow(rng: random.Random, query: Query) -> dict[str, str]:
    return {"workflow_id": f"workflow-{rng.randrange(1000)}"} if "workflow_id" in query else {}


def _assets(rng: random.Random, sort: str, kind: str) -> dict[str, str]:
    query = {"sort": sort, "order": rng.choice(("asc", "desc")), "limit": "20"}
    if "tags" in kind:
        query |= _tags(rng)
    if "name" in kind:
        query["name_contains"] = rng.choice((_word(rng), f"{_word(rng)}_{_word(rng)[:3]}", _number(rng)))
    return query


def _tags(rng: random.Random) -> dict[str, str]:
    """Up to three included and up to two excluded tags, some of them from a real asset."""
    known = (*many_rows.tags(rng), *many_rows.COMMON_TAGS, rng.choice(many_rows.RARE_TAGS))
    chosen = list(dict.fromkeys(rng.choices(known, k=5)))
    include = chosen[: rng.randrange(4)]
    exclude = chosen[len(include) :][: rng.randrange(3)]
    lists = {"include_tags": include, "exclude_tags": exclude}
    return {name: ",".join(tags) for name, tags in lists.items() if tags}


def _word(rng: random.Random) -> str:
    return rng.choice(many_rows.WORDS)


def _number(rng: random.Random) -> str:
    return f"{rng.randrange(100_000):05}"[: rng.randrange(2, 6)]


async def _next_pages(client: Client, path: str, queries: list[Query]) -> list[Query]:
    """Return the same queries with a cursor one to five pages further; queries with only one page are left out."""
    rng = random.Random(len(queries))
    found: list[Query] = []
    for query in queries:
        after: dict[str, str] = {}
        for _ in range(rng.randrange(1, 6)):
            page: dict[str, Any] = json.loads(await client.get(f"{path}?{urlencode({**query, **after})}"))
            if not page["has_more"]:
                break
            after = {"after": page["next_cursor"]}
        if after:
            found.append({**query, **after})
    return found


async def _measure_queries(client: Client, path: str, queries: list[Query]) -> Result:
    waiting = list(queries)
    times: list[float] = []

    async def connection() -> None:
        while waiting:
            url = f"{path}?{urlencode(waiting.pop())}"
            start = time.perf_counter()
            await client.get(url)
            times.append(time.perf_counter() - start)

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return {**spread(times), "requests": len(times)}


def _print(results: Mapping[str, Result]) -> None:
    table = Table("page", "p50, ms", "p99, ms", "max, ms", "requests")
    for name, result in results.items():
        most = (HISTOGRAM_MS, HISTOGRAM_MS) if name.startswith("histogram") else (P50_MS, P99_MS)
        cells = [_cell(result[key], limit) for key, limit in zip(("p50_ms", "p99_ms"), most, strict=True)]
        table.add_row(name, *cells, f"{result['max_ms']:.1f}", f"{result['requests']:.0f}")
    Console(width=max(Console().width, 100)).print(table)


def _cell(value: float, limit: float) -> str:
    return f"{'[red]' if value > limit else ''}{value:.1f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="assets, and jobs (default: 1000000)")
    parser.add_argument("--requests", type=int, default=240, help="requests for each row of the table (default: 240)")
    parser.add_argument("--keep", type=Path, help="folder that keeps the database for later runs")
    parser.add_argument("--output", type=Path, help="file for the JSON (default: in benchmarks/results/)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
