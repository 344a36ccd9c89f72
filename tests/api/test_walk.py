"""Every operation of the contract as an anonymous caller, another user, an administrator and the owner.

To others, Anna's objects answer exactly as objects that do not exist, byte for byte except the name that was sent; no
list shows anything of them; and afterwards they are unchanged.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from tests.api.accounts import signed_in
from tests.api.client import CONTRACT, V2, Answer, Client
from tests.api.conftest import Server
from tests.api.prompts import text
from tests.api.walk import CASES, GRAPH, V2_CASES, Case, Form, encode, png

from safelight.api.byte_headers import INLINE
from safelight.api.comfy.not_implemented import NOT_IMPLEMENTED
from safelight.api.contract import Operation
from safelight.api.routes import OWN_ROUTES
from safelight.api.v2 import own_routes

pytestmark = pytest.mark.anyio

NOBODYS = {
    "job": "00000000-0000-4000-8000-000000000000",
    "asset": "00000000-0000-4000-8000-000000000000",
    "workflow": "00000000-0000-4000-8000-000000000000",
    "task": "00000000-0000-4000-8000-000000000000",
    "share": "nobodys-share",
    "hash": "blake3:" + "0" * 64,
    "file": "nobody-owned.png",
    "userdata": "workflows/nobody-owned.json",
    "setting": "Nobody.Owned",
}
OTHER_PARAMETERS = {"dest": "workflows/moved.json", "folder": "checkpoints", "id": "walked", "file": "walked.json"}
OPERATIONS = [operation for operation in CONTRACT.operations.values() if operation.id not in NOT_IMPLEMENTED]
V2_OPERATIONS = list(V2.operations.values())


def test_every_operation_has_a_case() -> None:
    assert set(CASES) == set(CONTRACT.operations)
    assert set(V2_CASES) == set(V2.operations)


@pytest.mark.parametrize("operation", OPERATIONS + V2_OPERATIONS, ids=lambda o: f"{o.method} {o.path}")
async def test_walk(server: Server, operation: Operation) -> None:
    _, anna = await signed_in(server, "anna")
    _, ben = await signed_in(server, "ben")
    _, root = await signed_in(server, "root", is_admin=True)
    things = await make_objects(server.client, anna)
    case = case_of(operation)
    await server.client.get("/api/object_info", headers=anna)  # waits for the engine

    anonymous = await send(server.client, operation, things, headers={})
    assert (anonymous.status == 401) != operation.is_open
    assert not marks_in(anonymous, things)
    for stranger in (ben, root):
        if case.names is None:
            assert not marks_in(await send(server.client, operation, things, headers=stranger), things)
        elif not case.is_shared:
            missing = await send(server.client, operation, NOBODYS, headers=stranger)
            owned = await send(server.client, operation, things, headers=stranger)
            assert without(owned, things[case.names]) == without(missing, NOBODYS[case.names])
    own = await send(server.client, operation, things, headers=anna)
    if operation.id in FOR_ADMINISTRATORS:
        assert own.status == 403
        assert (await send(server.client, operation, things, headers=root)).status < 400
    elif operation.id not in NOTHING_TO_FIND:
        assert own.status < 400, own.body
    check_bytes(own)


def case_of(operation: Operation) -> Case:
    return (V2_CASES if operation.path.startswith("/api/v2/") else CASES)[operation.id]


WORDS_OF_OURS = ("application/json", "text/plain; charset=utf-8", "text/event-stream; charset=utf-8")


def check_bytes(answer: Answer) -> None:
    """A response that is not the server's own text contains a user's bytes, which a browser must not run."""
    if answer.body and answer.headers["content-type"] not in WORDS_OF_OURS:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; sandbox")
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        shown = answer.headers["content-type"] in INLINE
        assert answer.headers["content-disposition"].startswith("attachment;") != shown


FOR_ADMINISTRATORS = {
    "cancelAssetSeed", "getAssetSeedStatus", "pruneAssets", "seedAssets",
}  # fmt: skip
NOTHING_TO_FIND = {
    "getTask": "a task is made by a download, which these tests have no server for",
    "getMaskLayers": "a file has layers when the mask editor made it",
    "getVhsQueryVideo": "the file is a picture",
    "getGlobalSubgraph": "there is no blueprint of that name",
}


async def make_objects(client: Client, anna: Mapping[str, str]) -> dict[str, str]:
    """Create Anna's objects, and return their ids by kind."""
    body, content_type = encode(Form({"tags": '["input","kept"]', "name": "anna-secret.png"}, "file"))
    body = body.replace(png(9), png(1))
    asset = await client.request("POST", "/api/assets", body, headers={**anna, **content_type})
    assert asset.status == 201, asset.body
    body, content_type = encode(Form({}, "image"))
    body = body.replace(png(9), png(2)).replace(b'"walked.png"', b'"anna-owned.png"')
    uploaded = await client.request("POST", "/api/upload/image", body, headers={**anna, **content_type})
    assert uploaded.json["name"] == "anna-owned.png"
    made = await client.post("/api/workflows", {"workflow_json": GRAPH, "name": "anna-secret"}, headers=anna)
    assert made.status == 201, made.body
    path = "/api/userdata/workflows%2Fanna-secret.json"
    assert (await client.post(path, GRAPH, headers=anna)).status == 200
    published = await client.post(f"{path}/publish", {"asset_ids": []}, headers=anna)
    assert published.status == 200, published.body
    assert (await client.post("/api/settings/Anna.Secret", "anna-secret", headers=anna)).status == 200
    job = await client.post("/api/prompt", {"prompt": text(), "client_id": "anna-secret"}, headers=anna)
    job_id = job.json["prompt_id"]
    while (await client.get(f"/api/jobs/{job_id}", headers=anna)).json["status"] != "completed":
        pass
    return {
        "asset": asset.json["id"],
        "hash": asset.json["hash"],
        "file": "anna-owned.png",
        "workflow": made.json["id"],
        "userdata": "workflows/anna-secret.json",
        "share": published.json["share_id"],
        "setting": "Anna.Secret",
        "job": job_id,
        "task": NOBODYS["task"],
    }


async def send(
    client: Client, operation: Operation, things: Mapping[str, str], *, headers: Mapping[str, str]
) -> Answer:
    case = case_of(operation)
    named = things[case.names] if case.names else ""
    path = operation.path
    for number, parameter in enumerate(p for p in operation.parameters if p.location == "path"):
        is_named = case.names is not None and number == 0
        value = named if is_named else OTHER_PARAMETERS[parameter.name]
        path = path.replace("{" + parameter.name + "}", quote(value, safe=""))
    body, content_type = encode(case.body(named)) if case.body else (b"", {})
    query = case.query.format(it=quote(named, safe=""))
    return await client.request(operation.method, path + query, body, headers={**headers, **content_type})


VARYING = ("content-length", "etag", "date", "x-request-id", "x-comfy-request-id")


def without(answer: Answer, name: str) -> Any:
    body = answer.body.replace(name.encode(), b"<name>").replace(name.rpartition("/")[2].encode(), b"<name>")
    headers = {key: value for key, value in answer.headers.items() if key not in VARYING}
    return answer.status, headers, body


def marks_in(answer: Answer, things: Mapping[str, str]) -> list[str]:
    marks = [thing for kind, thing in things.items() if kind != "task"] + ["anna-secret"]
    return [mark for mark in marks if mark.encode() in answer.body]


async def test_nothing_beside_the_contract_is_open_by_oversight(server: Server) -> None:
    await signed_in(server, "anna")
    open_paths = set()
    for route in (*OWN_ROUTES, *own_routes.ROUTES):
        for path in route.paths:
            asked = path.replace("{", "").replace("}", "")
            answer = await server.client.request(route.method, asked)
            if answer.status != 401:
                open_paths.add(f"{route.method} {path}")
            assert route.is_open or answer.status == 401, path
    assert open_paths == {
        "GET /health/live", "GET /api/health/live", "GET /health/ready", "GET /api/health/ready",
        "GET /models", "GET /api/models", "GET /models/{folder}", "GET /api/models/{folder}",
        "GET /experiment/models/preview/{folder}/{path_index}/{filename}",
        "GET /api/experiment/models/preview/{folder}/{path_index}/{filename}",
        "GET /workflow_templates/{pack}/{filename}", "GET /api/workflow_templates/{pack}/{filename}",
        "GET /api/auth/session", "POST /api/auth/session", "DELETE /api/auth/session", "POST /api/auth/setup",
        "POST /api/auth/invitation", "POST /api/auth/invitation/accept",
        "GET /api/auth/oidc/login", "GET /api/auth/oidc/callback", "POST /api/auth/oidc/logout",
    }  # fmt: skip
