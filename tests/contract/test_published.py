"""``/openapi.json`` contains the contract, and every addition to it is marked."""

import hashlib
import json
from typing import Any

import pytest
from tests.api.client import CONTRACT, V2
from tests.api.conftest import Server

from safelight.api.openapi_document import MARK, document

pytestmark = pytest.mark.anyio

DIGEST = "2c022b28bea5da07c86cd4edd95bbf37f555cc74213308d75ab1893ae15d5b5c"
"""SHA-256 of the contract as canonical JSON: the copy in the package must not be edited."""
V2_DIGEST = "335c73180b6a20f95def7e3687ed4971d00e134cd6620be37ffcdaa7869de8db"
"""The same of Comfy API v2."""


def without_ours(value: Any) -> Any:
    """The document without what is marked, and without containers that then are empty."""
    if isinstance(value, list):
        return [without_ours(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {k: v for k, v in value.items() if not (isinstance(v, dict) and v.get(MARK) is True)}
    return {k: without_ours(v) for k, v in kept.items() if k not in value or without_ours(v) != {} or v == {}}


def test_the_contract_is_the_one_that_was_agreed() -> None:
    canonical = json.dumps(CONTRACT.document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert hashlib.sha256(canonical.encode()).hexdigest() == DIGEST


async def test_the_published_document_is_the_contract(server: Server) -> None:
    answer = await server.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert without_ours(answer.json) == CONTRACT.document


def test_the_second_contract_is_the_one_that_was_agreed() -> None:
    canonical = json.dumps(V2.document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert hashlib.sha256(canonical.encode()).hexdigest() == V2_DIGEST


async def test_the_published_second_document_is_the_second_contract(server: Server) -> None:
    answer = await server.client.get("/api/v2/openapi.json")
    assert without_ours(answer.json) == V2.document


def test_nothing_of_the_contract_is_marked() -> None:
    assert MARK not in json.dumps(CONTRACT.document)


def test_ours_are_answers_to_bad_requests_and_routes_of_comfyui() -> None:
    published = document(CONTRACT)
    added = {
        (operation.id, status)
        for operation in CONTRACT.operations.values()
        for status in published["paths"][operation.path][operation.method.lower()]["responses"]
        if int(status) not in operation.responses
    }
    assert ("listWorkflows", "400") in added
    assert {status for _, status in added} <= {"400", "401", "403", "422", "503"}
    assert published["paths"]["/api/history"]["get"][MARK] is True
    assert published["paths"]["/api/history"]["post"] == CONTRACT.document["paths"]["/api/history"]["post"] | {
        "responses": published["paths"]["/api/history"]["post"]["responses"]
    }


def test_operation_ids_are_unique() -> None:
    ids = [
        op["operationId"]
        for item in document(CONTRACT)["paths"].values()
        for op in item.values()
        if isinstance(op, dict)
    ]
    assert len(ids) == len(set(ids)) > 76
