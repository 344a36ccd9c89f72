"""Workflows for everybody, and the audit of what administrators do."""

import json

import pytest
from tests.api.accounts import signed_in
from tests.api.conftest import Server

pytestmark = pytest.mark.anyio

GRAPH = {"nodes": [{"id": 1, "type": "SaveImage"}], "extra": {"api_key": "sk-0123456789abcdef0123"}}
GIVEN = "/api/admin/workflows"


async def test_a_given_workflow_is_a_template_of_every_user(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    _, anna = await signed_in(server, "anna")
    given = await server.client.request("PUT", f"{GIVEN}/Lesson%201", _json(GRAPH), headers=root)
    assert (given.status, given.json["given_by"]) == (200, "root")
    assert (await server.client.get("/api/workflow_templates", anna)).json["For everybody"] == ["Lesson 1"]
    read = (await server.client.get("/api/workflow_templates/For%20everybody/Lesson%201.json", anna)).json
    assert read["nodes"] == GRAPH["nodes"]
    assert "sk-" not in str(read)
    stranger = await server.client.get("/api/workflow_templates/For%20everybody/Lesson%201.json")
    assert stranger.status == 404
    await server.client.request("DELETE", f"{GIVEN}/Lesson%201", headers=root)
    assert "For everybody" not in (await server.client.get("/api/workflow_templates", anna)).json


@pytest.mark.parametrize("name", ["..", "a%2Fb", "%20x", "x%00"])
async def test_names_are_checked(server: Server, name: str) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    refused = await server.client.request("PUT", f"{GIVEN}/{name}", _json(GRAPH), headers=root)
    assert refused.status in (400, 404)
    assert (await server.client.get(GIVEN, root)).json == {"workflows": []}


async def test_the_audit_says_who_did_what(server: Server) -> None:
    root_id, root = await signed_in(server, "root", is_admin=True)
    await server.client.post("/api/admin/users", {"names": ["anna"], "limits": {"running_jobs": 1}}, headers=root)
    anna = next(u for u in (await server.client.get("/api/admin/users", root)).json["users"] if u["name"] == "anna")
    await server.client.request(
        "PATCH", f"/api/admin/users/{anna['id']}", _json({"limits": {"running_jobs": 2}}), headers=root
    )
    await server.client.request("PUT", "/api/admin/schedule/queue", _json({"mode": "paused"}), headers=root)
    found = (await server.client.get("/api/admin/audit", root)).json["entries"]
    assert [(entry["action"], entry["subject"]) for entry in found] == [
        ("queue.set", "paused"),
        ("user.change", "anna"),
        ("user.invite", "anna"),
    ]
    assert {(entry["user"], entry["user_name"]) for entry in found} == {(root_id.user_id, "root")}
    assert found[1]["details"] == {"limits": {"running_jobs": 2}}
    only = (await server.client.get("/api/admin/audit?action=user.invite", root)).json["entries"]
    assert [entry["action"] for entry in only] == ["user.invite"]


def _json(content: object) -> bytes:
    return json.dumps(content).encode()
