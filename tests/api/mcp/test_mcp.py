"""``/mcp`` with the official client library, over a real socket: find, validate, run, follow, fetch."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.api.prompts import picture
from tests.contract.fuzzing import Address, served

pytest.importorskip("mcp")
pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Address]:
    with served(tmp_path_factory.mktemp("mcp"), migrated) as address:
        yield address


@asynccontextmanager
async def session(address: Address) -> AsyncIterator[Any]:
    import httpx2
    from mcp.client.client import Client
    from mcp.client.streamable_http import streamable_http_client

    headers = {"Authorization": f"Bearer {address.key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{address.url}/mcp", http_client=http)) as client,
    ):
        yield client


def answer(result: Any) -> Any:
    assert not result.is_error, result.content
    return json.loads(result.content[0].text)


async def test_a_session_finds_validates_runs_and_fetches(address: Address) -> None:
    async with session(address) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"search_nodes", "search_models", "validate_workflow", "run_workflow", "get_job", "get_output"} <= names
        found = answer(await client.call_tool("search_nodes", {"query": "image scale"}))
        assert [node["name"] for node in found["nodes"]] == ["ImageScale"]
        node = answer(await client.call_tool("get_node", {"name": "ImageScale"}))
        assert node["input"]["required"]["width"][0] == "INT"
        models = answer(await client.call_tool("search_models", {"query": "a.safe"}))
        assert models["models"] == [{"folder": "checkpoints", "name": "a.safetensors"}]
        bad = {**picture(), "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "width": -1}}}
        assert answer(await client.call_tool("validate_workflow", {"workflow": bad}))["valid"] is False
        assert answer(await client.call_tool("validate_workflow", {"workflow": picture()}))["valid"] is True
        job = answer(await client.call_tool("run_workflow", {"workflow": picture(), "wait_s": 60}))
        assert job["status"] == "succeeded"
        again = answer(await client.call_tool("get_job", {"job_id": job["id"]}))
        assert again["outputs"][0]["id"] == job["outputs"][0]["id"]
        [shown] = (await client.call_tool("get_output", {"asset_id": job["outputs"][0]["id"]})).content
        assert shown.mime_type == "image/png"


async def test_errors_of_tools_have_codes(address: Address) -> None:
    async with session(address) as client:
        for name, arguments, code in (
            ("get_job", {"job_id": "none"}, "not_found"),
            ("run_workflow", {"workflow": {}}, "prompt_no_outputs"),
            ("get_job", {"job_id": "none", "more": 1}, "internal_error"),
        ):
            result = await client.call_tool(name, arguments)
            assert result.is_error
            error = json.loads(result.content[0].text)["error"]
            assert code in (error.get("code"), error.get("type"))


async def test_a_published_workflow_is_a_tool_with_its_inputs(address: Address) -> None:
    import httpx2

    document = {**picture("published"), "extra": {"linearData": {"inputs": [["1", "color"], ["4", "filename_prefix"]]}}}
    headers = {"X-API-Key": address.key}
    async with httpx2.AsyncClient(base_url=address.url, headers=headers) as http:
        path = "/api/userdata/workflows%2FMy%20graph.json"
        assert (await http.post(path, json=document)).status_code == 200
        assert (await http.post(f"{path}/publish", json={"asset_ids": []})).status_code == 200
    async with session(address) as client:
        [tool] = [tool for tool in (await client.list_tools()).tools if tool.name == "workflow_My_graph"]
        properties = tool.input_schema["properties"]
        assert properties["1.color"] == {"description": "EmptyImage: color", "default": 3, "type": "integer"}
        assert "2.width" not in properties
        job = answer(await client.call_tool(tool.name, {"1.color": 9, "4.filename_prefix": "mine", "wait_s": 60}))
        assert [output["name"] for output in job["outputs"]] == ["mine_00001_.png"]


async def test_a_workflow_of_the_editor_is_a_tool_too(address: Address) -> None:
    import httpx2

    def node(number: int, kind: str, values: list[Any], name: str = "", link: int = 0) -> dict[str, Any]:
        inputs = [{"name": name, "type": "IMAGE", "link": link}] if name else []
        return {"id": number, "type": kind, "mode": 0, "inputs": inputs, "widgets_values": values, "title": kind}

    document = {
        "nodes": [
            node(1, "EmptyImage", [3]),
            node(2, "Reroute", [], "", 0) | {"inputs": [{"name": "", "type": "*", "link": 1}]},
            node(3, "SaveImage", ["drawn"], "images", 2),
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
        "extra": {"linearData": {"inputs": [[3, "filename_prefix"]]}},
    }
    headers = {"X-API-Key": address.key}
    async with httpx2.AsyncClient(base_url=address.url, headers=headers) as http:
        path = "/api/userdata/workflows%2FDrawn.json"
        assert (await http.post(path, json=document)).status_code == 200
        assert (await http.post(f"{path}/publish", json={"asset_ids": []})).status_code == 200
    async with session(address) as client:
        [tool] = [tool for tool in (await client.list_tools()).tools if tool.name == "workflow_Drawn"]
        assert tool.input_schema["properties"]["3.filename_prefix"]["default"] == "drawn"
        job = answer(await client.call_tool(tool.name, {"3.filename_prefix": "mine", "wait_s": 60}))
        assert job["status"] == "succeeded", job


async def test_a_caller_without_a_key_is_refused(address: Address) -> None:
    import httpx2

    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    async with httpx2.AsyncClient(base_url=address.url) as http:
        for headers in ({}, {"Authorization": "Bearer comfyui-wrong"}):
            refused = await http.post("/mcp", json=body, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
