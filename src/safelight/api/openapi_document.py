"""The document at ``/openapi.json``: the contract, and what this server adds to it, each addition marked.

The additions are responses that the contract does not list for each operation (an invalid request, a foreign
``Origin``, an unavailable database), and routes that the contract does not have. Without everything that is marked with
:data:`MARK` the document is the contract.
"""

from collections.abc import Mapping
from typing import Any

from safelight.api.contract import Contract, Operation, Shape
from safelight.api.handler import as_handler
from safelight.api.route import Route
from safelight.api.routes import OWN_ROUTES
from safelight.api.v2 import own_routes as v2_own

MARK = "x-safelight"
"""``true`` on an operation or a response that the contract does not have."""

_TEXT = {"text/plain": {"schema": {"type": "string"}}}


def document(contract: Contract) -> dict[str, Any]:
    paths = _with_unlisted_responses(contract)
    for route in OWN_ROUTES:
        for path in route.paths:
            if path.startswith("/api/"):  # other paths repeat these, or are ComfyUI's own spellings (HTTP-2)
                paths.setdefault(path, {}).setdefault(route.method.lower(), _own(route, path))
    return {**contract.document, "paths": paths}


def document_v2(contract: Contract) -> dict[str, Any]:
    """The document at ``/api/v2/openapi.json``: Comfy API v2, with the responses and routes that this server adds."""
    paths = _with_unlisted_responses(contract)
    for route in v2_own.ROUTES:
        paths.setdefault(route.path, {}).setdefault(route.method.lower(), _own(route, route.path))
    return {**contract.document, "paths": paths}


def _with_unlisted_responses(contract: Contract) -> dict[str, dict[str, Any]]:
    paths = {path: dict(item) for path, item in contract.document["paths"].items()}
    for operation in contract.operations.values():
        item, method = paths[operation.path], operation.method.lower()
        responses = item[method]["responses"]
        ours = {str(status): _response(operation.shape(status), why) for status, why in _unlisted(operation)}
        item[method] = item[method] | {"responses": responses | ours}
    return paths


def _unlisted(operation: Operation) -> list[tuple[int, str]]:
    listed = operation.responses
    may_happen = [(403, "The request comes from a page of another origin"), (503, "The database is unavailable")]
    if any(p.location == "query" for p in operation.parameters) or operation.body is not None:
        may_happen.append((operation.invalid_status, "The request is invalid"))
    elif any(p.location == "path" for p in operation.parameters) and 404 not in listed:
        may_happen.append((operation.invalid_status, "The path is invalid"))
    if not operation.is_open:
        may_happen.append((401, "No valid credential"))
    return [(status, why) for status, why in may_happen if status not in listed]


def _response(shape: Shape, why: str) -> dict[str, Any]:
    if shape is Shape.TEXT:
        return {MARK: True, "description": why, "content": _TEXT}
    reference = {"$ref": f"#/components/schemas/{shape.value}"}
    return {MARK: True, "description": why, "content": {"application/json": {"schema": reference}}}


def _own(route: Route, path: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        MARK: True,
        "operationId": as_handler(route.handler).name,
        "responses": {"default": {"description": "ComfyUI's response, or Safelight's: docs/reference/behaviour.md"}},
    }
    in_path = [_parameter(segment[1:-1], "path") for segment in path.split("/") if segment.startswith("{")]
    in_query = [_parameter(p.name, "query", type=p.type, required=p.required) for p in route.parameters]
    if in_path or in_query:
        shown["parameters"] = [*in_path, *in_query]
    if route.is_open:
        shown["security"] = []
    return shown


def _parameter(name: str, location: str, *, type: str = "string", required: bool = True) -> Mapping[str, Any]:
    return {"name": name, "in": location, "required": required, "schema": {"type": type}}
