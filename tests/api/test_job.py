"""Lists, details, queue, history, and ending jobs."""

import pytest
from tests.api.conftest import Server
from tests.api.engine import start_only
from tests.api.prompts import picture, text
from tests.api.test_prompt import run, submit

pytestmark = pytest.mark.anyio


async def running_and_waiting(server: Server) -> tuple[str, str]:
    """One job that runs until it is cancelled, and one that waits."""
    server.engine.script = start_only
    socket = await server.client.connect("/ws?clientId=looks")
    running = await submit(server, client_id="looks")
    await socket.hear_until("executing", prompt_id=running)
    await socket.close()
    return running, await submit(server, client_id="looks", extra_data={"foo": 1})


async def test_list_is_in_pages(server: Server) -> None:
    ids = [await run(server) for _ in range(3)]
    page = (await server.client.get("/api/jobs?limit=2&offset=1")).json
    assert [job["id"] for job in page["jobs"]] == [ids[1], ids[0]]
    assert page["pagination"] == {"offset": 1, "limit": 2, "total": 3, "has_more": False}
    oldest = (await server.client.get("/api/jobs?limit=1&sort_order=asc&sort_by=execution_time")).json
    assert oldest["pagination"]["has_more"]
    assert (await server.client.get("/jobs")).json["pagination"]["total"] == 3


async def test_list_by_status(server: Server) -> None:
    done = await run(server)
    running, waiting = await running_and_waiting(server)

    async def ids(status: str) -> list[str]:
        return [job["id"] for job in (await server.client.get(f"/api/jobs?status={status}")).json["jobs"]]

    assert await ids("in_progress,pending") == [waiting, running]
    assert await ids("completed%2Cfailed%2Ccancelled") == [done]
    assert await ids("") == [waiting, running, done]


@pytest.mark.parametrize(
    "query",
    ["status=bogus", "limit=0", "limit=1001", "limit=x", "limit=", "offset=-1", "sort_by=x", "sort_order=x",
     "output_type=text"],
)  # fmt: skip
async def test_bad_query_is_400(server: Server, query: str) -> None:
    answer = await server.client.get(f"/api/jobs?{query}")
    assert answer.status == 400


async def test_unknown_job_is_404(server: Server) -> None:
    for path in ("/api/jobs/nope", "/api/job/nope/status", "/api/history_v2/nope"):
        assert (await server.client.get(path)).status == 404
    assert (await server.client.post("/api/jobs/nope/cancel", b"")).status == 404


async def test_queue_in_both_dialects(server: Server) -> None:
    running, waiting = await running_and_waiting(server)
    contract = (await server.client.get("/api/queue")).json
    [[number, job_id, prompt, outputs, times]] = contract["queue_running"]
    assert (job_id, prompt, outputs) == (running, picture(), ["4"])
    assert set(times) == {"create_time"}
    core = (await server.client.get("/queue")).json
    assert core["queue_running"][0][:3] == [number, running, picture()]
    [_, job_id, _, extra_data, outputs] = core["queue_pending"][0]
    assert (job_id, outputs) == (waiting, ["4"])
    assert extra_data == {"foo": 1, "client_id": "looks", "create_time": extra_data["create_time"]}


async def test_waiting_jobs_are_deleted_from_the_queue(server: Server) -> None:
    running, waiting = await running_and_waiting(server)
    deleted = await server.client.post("/api/queue", {"delete": [waiting, running, "nope"]})
    assert deleted.json == {"deleted": [waiting], "cleared": False}
    assert (await server.client.get(f"/api/jobs/{waiting}")).json["status"] == "cancelled"
    assert (await server.client.get(f"/api/jobs/{running}")).json["status"] == "in_progress"
    await submit(server)
    assert (await server.client.post("/queue", {"clear": True})).json["cleared"]
    assert (await server.client.get("/prompt")).json["exec_info"]["queue_remaining"] == 1


@pytest.mark.parametrize("body", [b"{", {"delete": "x"}, {"nope": 1}, [], b""])
async def test_bad_queue_request_is_400(server: Server, body: object) -> None:
    assert (await server.client.post("/api/queue", body)).status == 400


async def test_interrupt_ends_the_running_job_alone(server: Server) -> None:
    running, waiting = await running_and_waiting(server)
    socket = await server.client.connect("/ws?clientId=looks")
    assert (await server.client.post("/interrupt", {"prompt_id": "nope"})).json == {}
    assert (await server.client.post("/api/interrupt", b"")).status == 200
    await socket.hear_until("execution_interrupted", prompt_id=running)
    await socket.hear_until("executing", node=None, prompt_id=running)
    await socket.close()
    assert (await server.client.get(f"/api/jobs/{running}")).json["status"] == "cancelled"
    assert (await server.client.get(f"/api/jobs/{waiting}")).json["status"] in ("pending", "in_progress")


async def test_cancel_is_idempotent(server: Server) -> None:
    running, waiting = await running_and_waiting(server)
    assert (await server.client.post(f"/api/jobs/{waiting}/cancel", b"")).json == {"cancelled": True}
    assert (await server.client.post(f"/api/jobs/{waiting}/cancel", b"")).json == {"cancelled": False}
    several = await server.client.post("/api/jobs/cancel", {"job_ids": [running, waiting, "nope"]})
    assert several.json == {"cancelled": [running]}
    assert (await server.client.post("/api/jobs/cancel", {"job_ids": "x"})).status == 400


async def test_history_in_both_dialects(server: Server) -> None:
    first, second = await run(server), await run(server)
    core = (await server.client.get("/history")).json
    assert list(core) == [first, second]
    assert core[first]["prompt"][1:3] == [first, picture()]
    assert core[first]["prompt"][4] == ["4"]
    assert core[first]["meta"]["4"]["display_node"] == "4"
    assert list((await server.client.get("/history?max_items=1")).json) == [second]
    assert list((await server.client.get("/api/history?max_items=1&offset=0")).json) == [first]
    assert (await server.client.get("/history?max_items=1&offset=100")).json == {}
    assert list((await server.client.get("/history?max_items=-1&offset=-1")).json) == [first, second]
    assert (await server.client.get("/history/nope")).json == {}
    listed = (await server.client.get("/api/history_v2?max_items=1")).json["history"]
    assert [item["prompt_id"] for item in listed] == [second]
    assert "prompt" not in listed[0]["prompt"]
    detail = (await server.client.get(f"/api/history_v2/{first}")).json[first]
    assert detail["prompt"]["outputs_to_execute"] == ["4"]
    assert detail["status"]["completed"]


async def test_history_hides_the_workflow_in_its_list_only(server: Server) -> None:
    extra = {"extra_pnginfo": {"workflow": {"id": "w"}, "other": 1}}
    job_id = await run(server, extra_data=extra)
    [item] = (await server.client.get("/api/history_v2")).json["history"]
    assert item["prompt"]["extra_data"]["extra_pnginfo"] == {"other": 1}
    detail = (await server.client.get(f"/api/history_v2/{job_id}")).json[job_id]
    assert detail["prompt"]["extra_data"]["extra_pnginfo"] == extra["extra_pnginfo"]


async def test_job_that_waits_is_in_the_queue_and_in_no_history(server: Server) -> None:
    running, waiting = await running_and_waiting(server)
    for job_id in (running, waiting):
        assert (await server.client.get(f"/history/{job_id}")).json == {}
        assert (await server.client.get(f"/api/history_v2/{job_id}")).status == 404


async def test_history_is_forgotten(server: Server) -> None:
    first, second, third = [await run(server) for _ in range(3)]
    assert (await server.client.post("/history", {"delete": [first, "nope"]})).json == {}
    assert list((await server.client.get("/history")).json) == [second, third]
    await server.client.post("/api/history", {"clear": True})
    assert (await server.client.get("/history")).json == {}


async def test_cloud_dialect_says_success(server: Server) -> None:
    job_id = await run(server)
    assert (await server.client.get(f"/api/job/{job_id}/status")).json["status"] == "completed"


async def test_text_output_counts_no_file(server: Server) -> None:
    job_id = await run(server, prompt=text())
    job = (await server.client.get(f"/api/jobs/{job_id}")).json
    assert (job["outputs_count"], job["outputs"]) == (0, {"2": {"text": ["4"]}})


async def test_history_of_the_web_ui_leaves_out_what_never_began(server: Server) -> None:
    """ComfyUI forgets jobs that are removed from its queue; here they stay in the list of cancelled jobs."""
    running, waiting = await running_and_waiting(server)
    socket = await server.client.connect("/ws?clientId=looks")
    await server.client.post("/api/queue", {"delete": [waiting]})
    await server.client.post(f"/api/jobs/{running}/cancel", {})
    await socket.hear_until("execution_interrupted", prompt_id=running)
    await socket.close()
    wanted = "/api/jobs?status={}&limit=64&offset=0"

    async def listed(states: str) -> list[str]:
        answer = (await server.client.get(wanted.format(states))).json
        assert answer["pagination"]["total"] == len(answer["jobs"])
        return [job["id"] for job in answer["jobs"]]

    assert await listed("completed,failed,cancelled") == [running]
    assert await listed("cancelled") == [waiting, running]
    assert (await server.client.get(f"/api/jobs/{waiting}")).json["status"] == "cancelled"
