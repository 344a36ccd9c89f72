"""Submitting a prompt, and reading its job in every form."""

import json

import pytest
from tests.api.conftest import Server
from tests.api.engine import fail_first, start_only
from tests.api.prompts import picture, text

pytestmark = pytest.mark.anyio


async def submit(server: Server, **body: object) -> str:
    answer = await server.client.post("/api/prompt", {"prompt": picture(), **body})
    assert answer.status == 200, answer.body
    return str(answer.json["prompt_id"])


async def run(server: Server, **body: object) -> str:
    """Submit, and wait for the last message of the job as clients do."""
    socket = await server.client.connect("/ws?clientId=waits")
    job_id = await submit(server, client_id="waits", **body)
    await socket.hear_until("executing", node=None, prompt_id=job_id)
    await socket.close()
    return job_id


async def test_job_completes_and_its_picture_can_be_viewed(server: Server) -> None:
    job_id = await run(server)
    job = (await server.client.get(f"/api/jobs/{job_id}")).json
    assert job["status"] == "completed"
    assert job["outputs_count"] == 1
    [image] = job["outputs"]["4"]["images"]
    assert job["preview_output"] == image | {"nodeId": "4", "mediaType": "images"}
    assert job["workflow"]["prompt"] == picture()
    assert job["execution_status"]["status_str"] == "success"
    picture_bytes = await server.client.get(f"/api/view?filename={image['filename']}&type=output")
    assert picture_bytes.body.startswith(b"\x89PNG")
    assert (await server.client.get("/internal/files/output")).json == ["cap_00001_.png [output]"]


async def test_prompt_answers_id_and_number(server: Server) -> None:
    server.engine.script = start_only
    first = (await server.client.post("/api/prompt", {"prompt": picture()})).json
    front = (await server.client.post("/prompt", {"prompt": text(), "front": True})).json
    given = (await server.client.post("/prompt", {"prompt": text(), "number": 7.5, "prompt_id": "mine"})).json
    assert first["node_errors"] == {}
    assert front["number"] < first["number"]
    assert given == {"prompt_id": "mine", "number": 7.5, "node_errors": {}}
    assert (await server.client.get("/api/prompt")).json == {"exec_info": {"queue_remaining": 3}}


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", ""])
async def test_body_is_json_whatever_it_says_it_is(server: Server, content_type: str) -> None:
    body = json.dumps({"prompt": text()}).encode()
    answer = await server.client.post("/prompt", body, headers={"content-type": content_type})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "no_prompt"),
        ([], "no_prompt"),
        ({"prompt": {}}, "prompt_no_outputs"),
        ({"prompt": []}, "prompt_no_outputs"),
        ({"prompt": None}, "invalid_body"),
        ({"prompt": "x"}, "invalid_body"),
        ({"prompt": text(), "extra_data": None}, "invalid_body"),
        ({"prompt": text(), "number": "abc"}, "invalid_body"),
        ({"prompt": text(), "number": 10**400}, "invalid_body"),
        ({"prompt": {"1": {"class_type": ["x"], "inputs": {}}}}, None),
        ({"prompt": text(), "partial_execution_targets": "2"}, "invalid_body"),
        ({"prompt": text(), "partial_execution_targets": []}, "prompt_no_outputs"),
        ({"prompt": text(), "prompt_id": "a/b"}, "invalid_body"),
        ({"prompt": {"1": {"inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {"1": {"class_type": "Nope", "inputs": {}}}}, None),
        (b"not json", "invalid_body"),
        (b"", "invalid_body"),
        (b"[" * 100_000, "invalid_body"),
        (b'{"prompt":' + b"[" * 200 + b"]" * 200 + b"}", "invalid_body"),
        (b'{"prompt": {"1": "' + b"x" * 100_000 + b'"}}', "body_too_large"),
        (b'{"prompt": {}, "number": NaN}', "invalid_body"),
    ],
)
async def test_bad_prompt_is_400_in_comfyui_s_shape(server: Server, body: object, kind: str | None) -> None:
    answer = await server.client.post("/api/prompt", body)
    assert answer.status == (413 if kind == "body_too_large" else 400)
    assert set(answer.json["error"]) == {"type", "message", "details", "extra_info"}
    if kind:
        assert answer.json["error"]["type"] == kind


async def test_null_prompt_id_gets_a_fresh_one(server: Server) -> None:
    job_id = await submit(server, prompt_id=None)
    assert len(job_id) == 36


async def test_number_as_prompt_id_is_kept_as_text(server: Server) -> None:
    assert await submit(server, prompt_id=5) == "5"


async def test_duplicate_prompt_id_is_400(server: Server) -> None:
    await submit(server, prompt_id="mine")
    again = await server.client.post("/api/prompt", {"prompt": text(), "prompt_id": "mine"})
    assert (again.status, again.json["error"]["type"]) == (400, "conflict")


async def test_file_of_a_prompt_must_exist(server: Server) -> None:
    prompt = picture() | {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
    missing = await server.client.post("/api/prompt", {"prompt": prompt})
    assert missing.json["node_errors"]["1"]["errors"][0]["type"] == "custom_validation_failed"
    await server.client.upload("/upload/image", {}, image=("a.png", b"not a picture"))
    assert (await server.client.post("/api/prompt", {"prompt": prompt})).status == 200


async def test_good_output_runs_beside_a_bad_one(server: Server) -> None:
    prompt = text() | {"9": {"class_type": "SaveImage", "inputs": {}}}
    answer = await server.client.post("/api/prompt", {"prompt": prompt})
    assert answer.status == 200
    assert set(answer.json["node_errors"]) == {"9"}


async def test_secrets_reach_the_engine_and_nothing_else(server: Server) -> None:
    job_id = await run(server, extra_data={"api_key_comfy_org": "SECRET"})
    assert server.engine.jobs[-1].secrets == {"api_key_comfy_org": "SECRET"}
    for path in (f"/api/jobs/{job_id}", f"/history/{job_id}", f"/api/history_v2/{job_id}"):
        assert b"SECRET" not in (await server.client.get(path)).body


async def test_failed_job_says_why(server: Server) -> None:
    server.engine.script = fail_first
    job_id = await run(server)
    job = (await server.client.get(f"/api/jobs/{job_id}")).json
    assert job["status"] == "failed"
    assert job["execution_error"]["exception_type"] == "re.error"
    status = (await server.client.get(f"/api/job/{job_id}/status")).json
    assert (status["status"], status["error_message"]) == ("error", job["execution_error"]["exception_message"])
    history = (await server.client.get(f"/history/{job_id}")).json[job_id]
    assert history["status"]["status_str"] == "error"
    assert [kind for kind, _ in history["status"]["messages"]][-1] == "execution_error"


async def test_workflow_id_comes_from_the_field_or_the_saved_workflow(server: Server) -> None:
    saved = {"extra_pnginfo": {"workflow": {"id": "wf-77", "nodes": []}}}
    first, second = await run(server, extra_data=saved), await run(server, extra_data=saved, workflow_id="wf-1")
    listed = (await server.client.get("/api/jobs?workflow_id=wf-77")).json["jobs"]
    assert [job["id"] for job in listed] == [first]
    assert (await server.client.get(f"/api/jobs/{second}")).json["workflow_id"] == "wf-1"
