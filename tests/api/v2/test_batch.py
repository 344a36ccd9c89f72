"""``/api/v2/batches``: many jobs of one graph under one id."""

import asyncio
import io
import json
import zipfile
from typing import Any

import pytest
from PIL import Image
from tests.api.accounts import signed_in
from tests.api.client import Answer
from tests.api.conftest import Server
from tests.api.engine import start_only
from tests.api.prompts import picture, text
from tests.api.v2.event_client import EventClient
from tests.api.v2.test_job import ended

from safelight.core.user import Quota
from safelight.services import batch as batches
from safelight.services import user

pytestmark = pytest.mark.anyio


async def post(server: Server, axes: Any = None, *, headers: Any = None, **fields: Any) -> Answer:
    content = {"workflow": text(), **({} if axes is None else {"axes": axes}), **fields}
    return await server.client.post("/api/v2/batches", content, headers=headers)


async def over(server: Server, batch_id: str, headers: Any = None) -> Any:
    """The batch when it has ended; makes its jobs, as the server that leads does."""
    while True:
        await server.app.make_batches()
        batch = (await server.client.get(f"/api/v2/batches/{batch_id}", headers=headers)).json
        if batch["ended_at"]:
            return batch
        await asyncio.sleep(0.01)


async def test_every_combination_of_the_axes_is_a_job(server: Server) -> None:
    axes = {"1.color": {"from": 1, "to": 3}, "4.filename_prefix": ["a", "b"]}
    made = await post(server, axes, workflow=picture(), metadata={"series": "x"})
    assert (made.status, made.json["total"], made.json["status"]) == (201, 6, "queued")
    batch = await over(server, made.json["id"])
    assert batch["status"] == "succeeded"
    assert batch["counts"] == {"queued": 0, "running": 0, "succeeded": 6, "failed": 0, "canceled": 0}
    jobs = (await server.client.get(f"{batch['urls']['jobs']}?limit=4")).json
    assert [job["values"] for job in jobs["jobs"][:3]] == [
        {"1.color": 1, "4.filename_prefix": "a"},
        {"1.color": 1, "4.filename_prefix": "b"},
        {"1.color": 2, "4.filename_prefix": "a"},
    ]
    rest = (await server.client.get(f"{batch['urls']['jobs']}?limit=4&cursor={jobs['next_cursor']}")).json
    assert [job["index"] for job in rest["jobs"]] == [4, 5]
    colors = [run.prompt["1"]["inputs"]["color"] for run in server.engine.jobs]
    assert colors == [1, 1, 2, 2, 3, 3]
    listed = (await server.client.get("/api/v2/jobs?metadata[series]=x")).json["jobs"]
    assert len(listed) == 6


async def test_a_table_is_a_job_for_each_row(server: Server) -> None:
    made = await post(server, rows=[{"1.color": 7}, {"1.color": 5}])
    await over(server, made.json["id"])
    assert [run.prompt["1"]["inputs"]["color"] for run in server.engine.jobs] == [7, 5]


async def test_results_are_one_zip_and_one_contact_sheet(server: Server) -> None:
    axes = {"1.color": [1, 2], "4.filename_prefix": ["a", "b", "c"]}
    made = (await post(server, axes, workflow=picture())).json
    await over(server, made["id"])
    answer = await server.client.get(made["urls"]["results"])
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        listed = json.loads(archive.read("jobs.json"))
    assert len(names) == 7
    assert names[0] == "00000-0-a_00001_.png"
    assert listed[5]["values"] == {"1.color": 2, "4.filename_prefix": "c"}
    sheet = await server.client.get(made["urls"]["contact_sheet"])
    assert sheet.status == 422, "the files of this engine are not real pictures"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "invalid_batch"),
        ({"axes": {"1.color": [1]}, "rows": [{"1.color": 1}]}, "invalid_batch"),
        ({"axes": {"color": [1]}}, "invalid_batch"),
        ({"axes": {"1.color": []}}, "invalid_batch"),
        ({"axes": {"1.color": {"from": 1, "to": 10_001}}}, "invalid_batch"),
        ({"axes": {"1.color": {"from": 1, "to": 101}, "2.x": {"from": 1, "to": 100}}}, "invalid_batch"),
        ({"rows": [{"1.color": 1}, {"1.other": 1}]}, "invalid_batch"),
        ({"axes": {"9.color": [1]}}, "invalid_workflow"),
        ({"axes": {"2.source": [1]}}, "invalid_workflow"),
        ({"axes": {"1.color": [1, "x"]}}, "invalid_workflow"),
        ({"axes": {"1.color": [1]}, "more": 1}, "invalid_request"),
    ],
    ids=str,
)
async def test_an_invalid_batch_is_refused_whole(server: Server, fields: Any, code: str) -> None:
    answer = await post(server, **fields)
    assert (answer.status, answer.json["error"]["code"]) == (422, code), answer.body
    assert (await server.client.get("/api/v2/batches")).json["batches"] == []


async def test_the_queue_holds_a_part_of_a_large_batch(server: Server) -> None:
    server.engine.script = start_only
    made = (await post(server, {"1.color": {"from": 1, "to": 10_000}})).json
    await server.app.make_batches()
    batch = (await server.client.get(f"/api/v2/batches/{made['id']}")).json
    assert batch["total"] == 10_000
    assert batch["counts"]["queued"] + batch["counts"]["running"] == 10_000
    assert len((await server.client.get("/api/v2/jobs?limit=1000")).json["jobs"]) == batches.WINDOW


async def test_a_cancel_ends_every_job_of_the_batch_and_no_other(server: Server) -> None:
    server.engine.script = start_only
    other = (await server.client.post("/api/v2/jobs", {"workflow": text()})).json["id"]
    made = (await post(server, {"1.color": {"from": 1, "to": 2000}})).json
    await server.app.make_batches()
    await server.client.post(made["urls"]["cancel"])
    batch = await over(server, made["id"])
    assert (batch["status"], batch["counts"]["canceled"]) == ("canceled", 2000)
    assert (await server.client.get(f"/api/v2/jobs/{other}")).json["status"] in ("queued", "running")
    await server.client.post(f"/api/v2/jobs/{other}/cancel")
    assert (await ended(server.client, other))["status"] == "canceled"


async def test_events_end_with_the_batch(server: Server) -> None:
    made = (await post(server, {"1.color": [1, 2, 3]})).json
    client = await EventClient(server.app, made["urls"]["events"]).open()
    await over(server, made["id"])
    frames = await client.frames()
    assert [name for name, _ in frames] == ["status"] * len(frames)
    assert frames[-1][1]["status"] == "succeeded"
    assert frames[-1][1]["counts"]["succeeded"] == 3


async def test_a_batch_beyond_the_quota_is_refused_and_releases_its_key(server: Server) -> None:
    _, anna = await signed_in(server, "anna")
    await server.db.write(lambda tx: user.set_quota(tx, name="anna", quota=Quota(queued_jobs=5)))
    keyed = {**anna, "idempotency-key": "b"}
    refused = await post(server, {"1.color": {"from": 1, "to": 6}}, headers=keyed)
    assert (refused.status, refused.json["error"]["code"]) == (429, "queue_full")
    assert (await post(server, {"1.color": {"from": 1, "to": 5}}, headers=keyed)).status == 201
    assert (await post(server, {"1.color": [1]}, headers=keyed)).status == 422


async def test_a_batch_of_another_user_answers_as_one_that_does_not_exist(server: Server) -> None:
    _, anna = await signed_in(server, "anna")
    _, ben = await signed_in(server, "ben")
    made = (await post(server, {"1.color": [1]}, headers=anna)).json
    for method, path in (
        ("GET", ""), ("GET", "/jobs"), ("GET", "/events"), ("POST", "/cancel"), ("GET", "/results.zip"),
        ("GET", "/contact-sheet.png"),
    ):  # fmt: skip
        answers = [
            await server.client.request(method, f"/api/v2/batches/{batch_id}{path}", headers=ben)
            for batch_id in (made["id"], "none")
        ]
        assert [answer.status for answer in answers] == [404, 404], path
        assert answers[0].body.replace(made["id"].encode(), b"none") == answers[1].body
    assert (await server.client.get("/api/v2/batches", headers=ben)).json["batches"] == []


async def test_a_single_job_of_another_user_waits_for_one_job_of_a_batch(server: Server) -> None:
    _, anna = await signed_in(server, "anna")
    _, ben = await signed_in(server, "ben")
    made = (await post(server, {"1.color": {"from": 1, "to": 300}}, headers=anna)).json
    await server.app.make_batches()
    job_id = (await server.client.post("/api/v2/jobs", {"workflow": picture()}, headers=ben)).json["id"]
    batch = await over(server, made["id"], headers=anna)
    assert batch["counts"]["succeeded"] == 300
    place = next(n for n, run in enumerate(server.engine.jobs) if run.job_id == job_id)
    assert place < 290, "it did not wait for the whole batch"


def test_a_contact_sheet_is_a_picture_of_its_grid(tmp_path: Any) -> None:
    from safelight.media.contact_sheet import CELL, Cell, contact_sheet

    Image.new("RGB", (64, 32), (255, 0, 0)).save(tmp_path / "red.png")
    cells = [Cell("0", tmp_path / "red.png"), Cell("1 failed", None)]
    body = contact_sheet(cells, columns=["1", "2"], rows=["a"], title="3.seed, 6.text")
    with Image.open(io.BytesIO(body)) as sheet:
        assert sheet.width > 2 * CELL
        assert sheet.height > CELL
        assert (255, 0, 0) in {color for _, color in sheet.convert("RGB").getcolors(1 << 20) or []}
