"""``/api/v2/jobs``: submissions and their refusals, states, outputs, labels, graphs, logs, cancelling."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.api.accounts import signed_in
from tests.api.client import Answer, Client
from tests.api.conftest import Server
from tests.api.engine import call, fail_first, run_all, start_only
from tests.api.prompts import picture, text
from tests.api.v2.test_asset import PNG, handle
from tests.api.v2.uploads import upload
from tests.events import report

from safelight.core.clock import SystemClock
from safelight.core.event import CallProgressed, CallsCached, CallStarted
from safelight.core.user import Quota
from safelight.services import user
from safelight.wire.messages import LogLines, RunJob, ToServer

pytestmark = pytest.mark.anyio


async def submit(client: Client, workflow: Any = None, *, key: str | None = None, **fields: Any) -> Answer:
    headers = {} if key is None else {"idempotency-key": key}
    content = {"workflow": picture() if workflow is None else workflow, **fields}
    return await client.post("/api/v2/jobs", content, headers=headers)


async def ended(client: Client, job_id: str) -> Any:
    while True:
        job = (await client.get(f"/api/v2/jobs/{job_id}")).json
        if job["status"] in ("succeeded", "failed", "canceled"):
            return job
        await asyncio.sleep(0.01)


async def test_a_job_from_submission_to_its_output(server: Server) -> None:
    answer = await submit(server.client, metadata={"shot": "7"})
    assert answer.status == 201
    assert (answer.json["status"], answer.json["queue_position"], answer.json["metadata"]) == (
        "queued",
        0,
        {"shot": "7"},
    )
    job = await ended(server.client, answer.json["id"])
    assert job["status"] == "succeeded"
    assert job["metrics"]["queue_ms"] >= 0
    assert job["metrics"]["execution_ms"] >= 0
    [output] = job["outputs"]
    assert (output["node_id"], output["name"], output["type"]) == ("4", "cap_00001_.png", "image")
    assert output["job_id"] == job["id"]
    content = await server.client.get(f"/api/v2/assets/{output['id']}/content")
    assert len(content.body) == output["size_bytes"]
    assert job["urls"]["self"] == f"/api/v2/jobs/{job['id']}"
    graph = (await server.client.get(f"/api/v2/jobs/{job['id']}/workflow")).json
    assert graph == {"workflow": picture(), "format": "api"}


async def test_references_to_assets_become_names_anywhere_in_the_graph(server: Server) -> None:
    uploaded = (await upload(server.client, PNG, path="in/photo.png")).json
    first = await ended(server.client, (await submit(server.client)).json["id"])
    made = first["outputs"][0]["id"]
    workflow = picture("b")
    workflow["1"] = {"class_type": "LoadImage", "inputs": {"image": handle(uploaded["id"])}}
    workflow["5"] = {"class_type": "LoadImage", "inputs": {"image": handle(made), "deep": [[{"x": handle(made)}]]}}
    workflow["6"] = {"class_type": "PreviewAny", "inputs": {"source": ["5", 0]}}
    job = await ended(server.client, (await submit(server.client, workflow)).json["id"])
    assert job["status"] == "succeeded", job
    graph = (await server.client.get(f"/api/v2/jobs/{job['id']}/workflow")).json["workflow"]
    assert graph["1"]["inputs"]["image"] == "in/photo.png"
    assert graph["5"]["inputs"]["image"] == "cap_00001_.png [output]"
    assert graph["5"]["inputs"]["deep"] == [[{"x": "cap_00001_.png [output]"}]]


@pytest.mark.parametrize(
    "reference", [handle("00000000-0000-4000-8000-000000000000"), {"__type": "core/ASSET"}, handle("")], ids=str
)
async def test_an_unknown_or_malformed_reference_is_refused(server: Server, reference: Any) -> None:
    workflow = picture()
    workflow["1"] = {"class_type": "LoadImage", "inputs": {"image": reference}}
    answer = await submit(server.client, workflow)
    assert (answer.status, answer.json["error"]["code"]) == (422, "missing_asset")
    assert "missing_ids" in answer.json["error"]["details"]


NODE = {"class_type": "Nowhere", "inputs": {}}
BAD_WIDTH = {**picture(), "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "width": -1}}}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"workflow": {"1": NODE}}, "invalid_workflow"),
        ({"workflow": {}}, "invalid_workflow"),
        ({"workflow": []}, "invalid_workflow"),
        ({}, "invalid_workflow"),
        ({"workflow": BAD_WIDTH}, "invalid_workflow"),
        (
            {"workflow": {**BAD_WIDTH, "9": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}},
            "invalid_workflow",
        ),
        ({"workflow": {"nodes": [], "links": []}}, "workflow_format_ui"),
        ({"workflow": text(), "extra_data": {}}, "invalid_request"),
        ({"workflow": text(), "extra_data": {"client_id": "x"}}, "invalid_request"),
        ({"workflow": text(), "webhook_url": "http://x"}, "invalid_request"),
        ({"workflow": text(), "inputs": {}}, "invalid_request"),
        ({"workflow": text(), "metadata": "x"}, "metadata_invalid"),
        ({"workflow": text(), "metadata": {"a b": "x"}}, "metadata_invalid"),
        ({"workflow": text(), "metadata": {"a": 1}}, "metadata_invalid"),
    ],
    ids=str,
)
async def test_refusals_have_the_codes_of_the_contract(server: Server, content: Any, code: str) -> None:
    answer = await server.client.post("/api/v2/jobs", content)
    assert (answer.status, answer.json["error"]["code"]) == (422, code), answer.body


async def test_a_refusal_of_labels_names_the_key_or_the_count(server: Server) -> None:
    named = await submit(server.client, metadata={"wrong key": "x"})
    assert "wrong key" in named.json["error"]["message"]
    many = await submit(server.client, metadata={f"k{n}": "x" for n in range(17)})
    assert "17" in many.json["error"]["message"]
    assert "16" in many.json["error"]["message"]


async def test_a_key_is_good_for_one_job(server: Server) -> None:
    first = await submit(server.client, key="k1")
    again = await submit(server.client, key="k1")
    assert (first.status, again.status, again.json["error"]["code"]) == (201, 422, "idempotency_key_reuse")
    assert (await submit(server.client, key="k2")).status == 201
    assert len((await server.client.get("/api/v2/jobs")).json["jobs"]) == 2


async def test_a_definite_refusal_releases_the_key(server: Server) -> None:
    _, anna = await signed_in(server, "anna")
    await server.db.write(lambda tx: user.set_quota(tx, name="anna", quota=Quota(queued_jobs=0)))
    refused = await server.client.post("/api/v2/jobs", {"workflow": text()}, headers={**anna, "idempotency-key": "k"})
    assert (refused.status, refused.json["error"]["code"]) == (429, "queue_full")
    assert int(refused.headers["retry-after"]) > 0
    invalid = await server.client.post("/api/v2/jobs", {"workflow": {}}, headers={**anna, "idempotency-key": "k"})
    assert invalid.status == 422
    await server.db.write(lambda tx: user.set_quota(tx, name="anna", quota=Quota()))
    made = await server.client.post("/api/v2/jobs", {"workflow": text()}, headers={**anna, "idempotency-key": "k"})
    assert made.status == 201


async def test_a_spent_budget_is_insufficient_credits(server: Server) -> None:
    _, anna = await signed_in(server, "anna")
    await server.db.write(lambda tx: user.set_quota(tx, name="anna", quota=Quota(device_s=0.0)))
    refused = await server.client.post("/api/v2/jobs", {"workflow": text()}, headers=anna)
    assert (refused.status, refused.json["error"]["code"]) == (402, "insufficient_credits")


async def test_concurrent_submissions_with_one_key_make_one_job(server: Server) -> None:
    await server.client.get("/api/object_info")
    answers = await asyncio.gather(*(submit(server.client, text(), key="same") for _ in range(200)))
    assert sorted(answer.status for answer in answers) == [201] + [422] * 199
    assert len((await server.client.get("/api/v2/jobs")).json["jobs"]) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "\u00e9"], ids=repr)
async def test_an_invalid_key_is_refused(server: Server, key: str) -> None:
    assert (await submit(server.client, key=key)).status == 422


async def test_extra_data_is_in_the_job_and_never_in_the_database(server: Server, tmp_path: Path) -> None:
    canary = "comfyui-canary-5f3a91"
    job = await ended(server.client, (await submit(server.client, extra_data={"api_key_comfy_org": canary})).json["id"])
    assert server.engine.jobs[-1].secrets == {"api_key_comfy_org": canary}
    graph = await server.client.get(f"/api/v2/jobs/{job['id']}/workflow")
    assert canary not in graph.text
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or canary.encode() not in file.read_bytes(), file


async def test_a_failed_job_says_where_and_why(server: Server) -> None:
    server.engine.script = fail_first
    job = await ended(server.client, (await submit(server.client)).json["id"])
    assert job["status"] == "failed"
    error = job["error"]
    assert (error["code"], error["node_id"], error["class_type"]) == ("node_execution_error", "1", "EmptyImage")
    assert "execute" in error["traceback"]
    logs = await server.client.get(f"/api/v2/jobs/{job['id']}/logs")
    assert logs.status == 200
    assert "re.error" in logs.json["text"]


async def test_what_nodes_print_is_in_the_log_of_their_job(server: Server) -> None:
    def printing(job: RunJob) -> Iterable[ToServer]:
        yield LogLines(lines=[(1_000, "loading"), (2_000, "50 %")], job_id=job.job_id)
        yield from run_all(job)

    server.engine.script = printing
    await server.app.start_leading()
    job = await ended(server.client, (await submit(server.client)).json["id"])
    logs = (await server.client.get(f"/api/v2/jobs/{job['id']}/logs")).json
    assert (logs["text"], logs["truncated"], logs["complete"]) == ("loading\n50 %\n", False, True)
    anna, hers = await signed_in(server, "anna")
    _, root = await signed_in(server, "root", is_admin=True)
    path = f"/api/admin/jobs/local/{job['id']}/logs"
    shown = (await server.client.get(path, root)).json
    assert shown == {"entries": [{"t": 1_000, "m": "loading\n"}, {"t": 2_000, "m": "50 %\n"}], "truncated": False}
    assert (await server.client.get(path, hers)).status == 403
    assert (await server.client.get(path.replace("local", anna.user_id), root)).status == 404


async def test_a_job_without_log_lines_has_no_logs(server: Server) -> None:
    job = await ended(server.client, (await submit(server.client, text())).json["id"])
    assert (await server.client.get(f"/api/v2/jobs/{job['id']}/logs")).status == 204


async def test_cancelling_is_idempotent(server: Server) -> None:
    server.engine.script = start_only
    job_id = (await submit(server.client)).json["id"]
    while (await server.client.get(f"/api/v2/jobs/{job_id}")).json["status"] != "running":
        pass
    answer = await server.client.post(f"/api/v2/jobs/{job_id}/cancel")
    assert answer.json["status"] in ("canceling", "canceled")
    assert (await ended(server.client, job_id))["status"] == "canceled"
    again = await server.client.post(f"/api/v2/jobs/{job_id}/cancel")
    assert (again.status, again.json["status"]) == (200, "canceled")
    assert (await server.client.post("/api/v2/jobs/none/cancel")).status == 404


async def test_progress_of_a_running_job_counts_nodes_and_steps(server: Server) -> None:
    def half(job: RunJob) -> Iterable[ToServer]:
        ids = {"job_id": job.job_id, "attempt": job.attempt}
        yield report(CallsCached(call_ids=["1"]), **ids)
        yield report(CallStarted(call=call("2")), **ids)
        yield report(CallProgressed(call=call("2"), value=5, total=10), **ids)

    server.engine.script = half
    job_id = (await submit(server.client)).json["id"]
    progress = None
    while progress is None or not progress["step"]:
        await asyncio.sleep(0.01)
        progress = (await server.client.get(f"/api/v2/jobs/{job_id}")).json["progress"]
    assert (progress["value"], progress["nodes_done"], progress["nodes_total"]) == (0.375, 1, 4)
    assert (progress["current_node"], progress["step"], progress["steps"]) == ("2", 5, 10)


async def test_jobs_are_listed_newest_first_by_labels_and_cursor(server: Server) -> None:
    server.engine.script = run_all
    ids = [(await submit(server.client, text(), metadata={"n": str(n % 2), "all": "yes"})).json["id"] for n in range(5)]
    client = server.client
    listed = (await client.get("/api/v2/jobs?metadata[all]=yes&limit=2")).json
    assert [job["id"] for job in listed["jobs"]] == [ids[4], ids[3]]
    rest = (await client.get(f"/api/v2/jobs?metadata%5Ball%5D=yes&limit=9&cursor={listed['next_cursor']}")).json
    assert [job["id"] for job in rest["jobs"]] == [ids[2], ids[1], ids[0]]
    assert "next_cursor" not in rest
    odd = (await client.get("/api/v2/jobs?metadata[n]=1&metadata[all]=yes")).json["jobs"]
    assert [job["id"] for job in odd] == [ids[3], ids[1]]
    assert odd[0]["metadata"] == {"n": "1", "all": "yes"}
    assert odd[0]["create_time"].endswith("Z")
    assert (await client.get("/api/v2/jobs?metadata[n]=2")).json["jobs"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("cursor=x", "invalid_cursor"),
        ("metadata[a]=1&metadata[b]=1&metadata[c]=1&metadata[d]=1", "invalid_metadata_filter"),
        ("metadata[a%20b]=1", "invalid_metadata_filter"),
    ],
)
async def test_invalid_lists_are_refused(server: Server, query: str, code: str) -> None:
    answer = await server.client.get(f"/api/v2/jobs?{query}")
    assert (answer.status, answer.json["error"]["code"]) == (400, code)


async def test_a_long_label_is_found_by_its_whole_value(server: Server) -> None:
    long = "x" * 3000
    job_id = (await submit(server.client, text(), metadata={"a": long})).json["id"]
    found = (await server.client.get(f"/api/v2/jobs?metadata[a]={long}")).json["jobs"]
    assert [job["id"] for job in found] == [job_id]
    assert (await server.client.get(f"/api/v2/jobs?metadata[a]={long}y")).json["jobs"] == []


async def test_a_job_of_the_first_api_is_the_same_job_here(server: Server) -> None:
    made = await server.client.post("/api/prompt", {"prompt": picture(), "prompt_id": "my-own:id"})
    assert made.json["prompt_id"] == "my-own:id"
    job = await ended(server.client, "my-own:id")
    assert job["id"] == "my-own:id"
    assert SystemClock().now().isoformat() < job["expires_at"]


async def test_a_client_chooses_the_engine_in_a_member_of_our_own(server: Server) -> None:
    assert (await submit(server.client, safelight={"engine": "safelight"})).status == 201
    refused = await submit(server.client, safelight={"engine": "comfyui"})
    assert refused.status in (400, 422)
    assert "valid: safelight" in refused.json["error"]["message"]


@pytest.mark.parametrize("chosen", [{"engine": 3}, {"engines": "safelight"}, "safelight", None])
async def test_an_unknown_choice_of_our_own_is_refused(server: Server, chosen: Any) -> None:
    answer = await submit(server.client, safelight=chosen)
    assert (answer.status, answer.json["error"]["code"]) == (422, "invalid_request")
