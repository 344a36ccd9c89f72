"""Estimates: what a graph took before, by its structure and sizes, and what is said where nothing is known."""

from collections.abc import Iterable
from typing import Any

import pytest
from tests.api.accounts import signed_in
from tests.api.conftest import Server
from tests.api.engine import NODES, run_all, start_only
from tests.api.prompts import picture
from tests.api.v2.test_job import ended, submit

from safelight.core.clock import SystemClock
from safelight.core.event import JobTimed
from safelight.core.ids import LOCAL_USER, JobId
from safelight.graph.cost_key import cost_keys
from safelight.services.estimate import percentile

pytestmark = pytest.mark.anyio

CATALOGUE = {node.name: node for node in NODES}


def sized(width: int, prefix: str = "cap") -> dict[str, Any]:
    graph = picture(prefix)
    graph["2"]["inputs"]["width"] = width
    return graph


async def estimate(server: Server, workflow: object) -> dict[str, Any]:
    answer = await server.client.post("/api/v2/estimate", {"workflow": workflow})
    assert answer.status == 200, answer.body
    return answer.json


async def took(server: Server, workflow: object, seconds: float) -> None:
    """Run the graph, and report that each of its nodes took a quarter of the seconds."""
    job = await ended(server.client, (await submit(server.client, workflow)).json["id"])
    await server.app.keep_run_times()
    await server.db.write(lambda tx: tx.conn.exec_driver_sql("DELETE FROM run_time WHERE seconds < 0.5"))
    times = dict.fromkeys("1234", seconds / 4)
    event = JobTimed(
        owner_id=LOCAL_USER, job_id=JobId(job["id"]), client_id=None, at=SystemClock().now(), device="cpu",
        seconds=times, total_s=seconds,
    )  # fmt: skip
    server.bus.publish([event])
    await server.app.keep_run_times()


async def test_nothing_is_known_before_the_first_run(server: Server) -> None:
    found = await estimate(server, picture())
    assert (found["run_s"], found["basis"], found["start_s"]) == (None, None, {"p50": 0.0})


async def test_the_same_graph_is_estimated_by_its_own_runs(server: Server) -> None:
    for seconds in (8.0, 10.0, 12.0, 40.0):
        await took(server, sized(64), seconds)
    found = await estimate(server, sized(64, prefix="another name"))
    assert (found["basis"], found["device"]) == ("graph", "cpu")
    assert found["run_s"] == {"p50": 10.0, "p90": 40.0}


async def test_another_size_is_estimated_by_its_nodes(server: Server) -> None:
    await took(server, sized(64), 8.0)
    found = await estimate(server, sized(128))
    assert (found["basis"], found["run_s"]["p50"]) == ("nodes", 8.0)
    with_unknown = sized(64)
    with_unknown["9"] = {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}
    assert (await estimate(server, with_unknown))["run_s"] is None, "a node of it never ran"


async def test_a_waiting_job_says_when_it_begins_and_how_long_it_takes(server: Server) -> None:
    await took(server, sized(64), 8.0)
    server.engine.script = start_only
    ids = [(await submit(server.client, sized(64))).json["id"] for _ in range(3)]
    first, second = [(await server.client.get(f"/api/v2/jobs/{each}")).json for each in ids[1:]]
    assert second["metrics"]["estimated_run_p50_ms"] == 8000
    assert second["queue_position"] == 1
    assert 0 < first["metrics"]["estimated_start_ms"] < second["metrics"]["estimated_start_ms"]


async def test_jobs_of_another_user_count_as_far_as_they_run_first(server: Server) -> None:
    await took(server, sized(64), 8.0)
    _, ann = await signed_in(server, "ann")
    _, bob = await signed_in(server, "bob")
    server.engine.script = start_only
    for _ in range(20):
        assert (await server.client.post("/api/v2/jobs", {"workflow": sized(64)}, headers=ann)).status == 201
    starts = []
    for headers in (ann, bob):
        answer = await server.client.post("/api/v2/estimate", {"workflow": sized(64)}, headers=headers)
        starts.append(answer.json["start_s"]["p50"])
    assert 7 < starts[1] <= 8, "behind the one that runs, and none of those that wait"
    assert starts[0] > 19 * 7, "behind all of them"


async def test_times_of_a_real_run_are_kept(server: Server) -> None:
    server.engine.script = run_all
    await ended(server.client, (await submit(server.client)).json["id"])
    await server.app.keep_run_times()
    assert (await estimate(server, picture()))["basis"] == "graph"


def test_costs_depend_on_sizes_and_not_on_texts_and_seeds() -> None:
    def key(graph: dict[str, Any]) -> str:
        return cost_keys(graph, CATALOGUE, ["4"])[""]

    assert key(sized(64)) == key(sized(64, prefix="b"))
    assert key(sized(64)) != key(sized(65))
    seeded = sized(64)
    seeded["1"]["inputs"]["seed"] = 5
    assert key(seeded) == key(sized(64))


@pytest.mark.parametrize(
    ("values", "part", "expected"), [([1.0], 0.9, 1.0), ([1, 2, 3, 4], 0.5, 2), ([*range(1, 11)], 0.9, 9)]
)
def test_percentiles_are_of_the_nearest_rank(values: Iterable[float], part: float, expected: float) -> None:
    assert percentile(list(values), part) == expected
