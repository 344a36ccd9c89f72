"""Invalid requests to every operation: a 4xx in the form that the operation declares, and nothing is written.

(The client itself checks the form of each response.)
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.api.client import CONTRACT
from tests.api.conftest import Server

from safelight.api.comfy.not_implemented import NOT_IMPLEMENTED
from safelight.api.contract import Operation
from safelight.db.tables import metadata
from safelight.db.transaction import Transaction

pytestmark = pytest.mark.anyio

NO_JSON = {
    "cut off": b'{"a": ',
    "two values": b"{}{}",
    "no JSON at all": b"a=1&b=2",
    "NaN": b'{"a": NaN}',
    "a NUL byte": b'{"a": "\x00"}',
    "only NUL bytes": b"\x00" * 8,
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "deep lists": b"[" * 50_000,
    "deep objects": b'{"a":' * 2000 + b"1" + b"}" * 2000,
    "too large": b'{"a": "' + b"x" * 100_000 + b'"}',
}
NO_NAMES = [
    "..",
    ".",
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\x",
    "a/../../b",
    "\x00",
    "a\x00b.json",
    "\x1b[0m",
    "C:/x",
]
"""Invalid names: traversal, control characters, roots of other systems."""

ALL = [operation for operation in CONTRACT.operations.values() if operation.id not in NOT_IMPLEMENTED]
WITH_JSON = [operation for operation in ALL if operation.body and operation.body.json]
WITH_PATH = [operation for operation in ALL if any(p.location == "path" for p in operation.parameters)]
ANY_NAME = {"updateSettingById", "getSettingById"}
"""A setting may be named ``..``: its name is a key, never a path."""


@pytest.mark.parametrize("operation", WITH_JSON, ids=lambda o: o.id)
async def test_what_is_no_json_is_refused(server: Server, operation: Operation) -> None:
    before = await everything(server)
    for what, body in NO_JSON.items():
        answer = await server.client.request(operation.method, path_of(operation, "x"), body)
        assert 400 <= answer.status < 500, (what, answer.status, answer.body)
    assert await everything(server) == before


@pytest.mark.parametrize("operation", WITH_JSON, ids=lambda o: o.id)
async def test_wrong_types_are_refused(server: Server, operation: Operation) -> None:
    before = await everything(server)
    for body in wrongly_typed(schema_of(operation)):
        answer = await server.client.request(operation.method, path_of(operation, "x"), json.dumps(body).encode())
        assert 400 <= answer.status < 500, (body, answer.status, answer.body)
    assert await everything(server) == before


@pytest.mark.parametrize("operation", WITH_PATH, ids=lambda o: o.id)
async def test_names_that_lead_elsewhere_are_refused(server: Server, operation: Operation) -> None:
    before = await everything(server)
    body = json.dumps(fitting(schema_of(operation))).encode() if operation.body else b""
    for name in NO_NAMES:
        if operation.id in ANY_NAME and name.isprintable():
            continue
        answer = await server.client.request(operation.method, path_of(operation, name), body)
        assert 400 <= answer.status < 500, (name, answer.status, answer.body)
    assert await everything(server) == before


@pytest.mark.parametrize("name", ["ü", "u\u0308", "\U0001f5bc\ufe0f", "שלום", "日本語.json", "ﷺ", "a" * 80])
async def test_names_of_any_script_are_kept_as_they_came(server: Server, name: str) -> None:
    url = f"/api/userdata/{escaped(name)}"
    assert (await server.client.post(url, {"a": name})).status == 200
    assert (await server.client.get(url)).json == {"a": name}
    assert [file["path"] for file in (await server.client.get("/api/userdata")).json] == [name]


async def everything(server: Server) -> Any:
    """All rows of all tables that requests write, and all files of the data folder that are not the database's own."""

    def rows(tx: Transaction) -> dict[str, list[Any]]:
        # The catalogue is the worker's, at its start.
        tables = [table for table in metadata.sorted_tables if table.name != "engine_catalogue"]
        return {table.name: [tuple(row) for row in tx.conn.execute(select(table))] for table in tables}

    folder: Path = server.models_dir.parent
    files = sorted(str(path) for path in folder.rglob("*") if path.is_file() and "safelight.db" not in path.name)
    return await server.db.read(rows), files


def path_of(operation: Operation, name: str) -> str:
    path = operation.path
    for parameter in operation.parameters:
        if parameter.location == "path":
            path = path.replace(f"{{{parameter.name}}}", escaped(name))
    return path


def escaped(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = CONTRACT.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def schema_of(operation: Operation) -> dict[str, Any]:
    body = CONTRACT.document["paths"][operation.path][operation.method.lower()]["requestBody"]
    return resolved(body["content"].get("application/json", {}).get("schema", {}))


def fitting(schema: dict[str, Any]) -> Any:
    """The smallest value that a schema allows."""
    schema = resolved(schema)
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object" or "properties" in schema:
        return {name: fitting(schema.get("properties", {}).get(name, {})) for name in schema.get("required", ())}
    small = {"array": [], "string": "x", "integer": schema.get("minimum", 1), "number": 1, "boolean": True}
    return small.get(schema.get("type", ""), {})


WRONG: dict[str, list[Any]] = {
    "string": [1, [], {}, True],
    "integer": ["1", 1.5, [], {}],
    "number": ["1", [], {}],
    "boolean": ["true", 1, []],
    "array": ["x", 1, {}],
    "object": ["x", 1, []],
}


def wrongly_typed(schema: dict[str, Any]) -> Iterator[Any]:
    """Bodies with one value of a wrong type, and bodies without a required value."""
    if schema.get("type") != "object":
        return
    if schema.get("properties"):
        yield from ([], "x", 7, True)
    least = fitting(schema)
    for name in schema.get("required", ()):
        yield {key: value for key, value in least.items() if key != name}
    for name, child in schema.get("properties", {}).items():
        for value in WRONG.get(resolved(child).get("type", ""), []):
            yield least | {name: value}
