"""The compiled contract, and the routes and handlers of its operations."""

import pytest
from starlette.requests import Request

from safelight.api import contract as contracts
from safelight.api import v2
from safelight.api.comfy.comfy_routes import ONLY_WITH_API
from safelight.api.comfy.not_implemented import NOT_IMPLEMENTED
from safelight.api.contract import Operation, Shape
from safelight.api.handler import as_handler
from safelight.api.routes import OWN_ROUTES, build_router, find_handlers

CONTRACT = contracts.load()
V2 = contracts.load_v2()
ROUTER = build_router(CONTRACT, V2)
HANDLERS = find_handlers(CONTRACT)
OPERATIONS = list(CONTRACT.operations.values())


def test_there_are_76_operations() -> None:
    assert len(OPERATIONS) == 76


def test_list_of_what_is_not_implemented_is_true() -> None:
    assert set(CONTRACT.operations) - set(HANDLERS) == NOT_IMPLEMENTED


def test_bodies_that_handlers_read_are_bodies_of_the_contract() -> None:
    own_body = {operation_id for operation_id, handler in HANDLERS.items() if not handler.checks_body}
    assert all(CONTRACT.operations[operation_id].body is not None for operation_id in own_body)
    assert own_body == {
        "executePrompt", "updateMultipleSettings", "updateSettingById", "uploadImage", "uploadMask", "uploadAsset",
    }  # fmt: skip


def test_what_needs_the_leader_is_declared_by_handlers() -> None:
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []})
    needs_leader = {operation_id for operation_id, handler in HANDLERS.items() if handler.needs_leader(request)}
    needs_leader |= {f"{r.method} {r.path}" for r in OWN_ROUTES if as_handler(r.handler).needs_leader(request)}
    assert needs_leader == {
        "executePrompt", "freeMemory", "getSystemStats", "uploadAsset",
        "seedAssets", "getAssetSeedStatus", "cancelAssetSeed", "pruneAssets",
        "getExtensions", "getI18n", "getWorkflowTemplates",
        "GET /api/account/packs", "GET /api/admin/packs", "GET /api/admin/schedule",
        "PUT /api/admin/schedule/slots/{slot}", "GET /api/admin/housekeeping", "POST /api/admin/housekeeping/run",
        "GET /api/admin/jobs/{user_id}/{job_id}/logs",
        "POST /api/admin/models/imports", "GET /api/admin/machine",
    }  # fmt: skip
    form = Request(dict(request.scope) | {"headers": [(b"content-type", b"multipart/form-data; boundary=b")]})
    assert not HANDLERS["uploadAsset"].needs_leader(form), "a form contains the file itself"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.id)
def test_operation_is_routed(operation: Operation) -> None:
    match = ROUTER.find(operation.path.replace("{", "").replace("}", "").encode())
    assert match is not None
    assert match.endpoints[operation.method][0].operation == operation


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.id)
def test_operation_answers_without_api_too(operation: Operation) -> None:
    at_root = (operation.method, operation.path.removeprefix("/api")) in ROUTER
    assert at_root != operation.path.startswith(ONLY_WITH_API)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.id)
def test_schemas_compile(operation: Operation) -> None:
    for schema in operation.responses.values():
        if schema is not None:
            schema.problem({})
    if operation.body is not None and operation.body.json is not None:
        operation.body.json.problem({})


def test_comfy_api_v2_has_13_operations_each_with_a_handler() -> None:
    assert len(V2.operations) == 13
    handlers = find_handlers(V2, v2)
    assert set(handlers) == set(V2.operations)
    assert {name for name, handler in handlers.items() if not handler.checks_body} == {"postAssets", "postJobs"}
    assert all(operation.default_shape is Shape.ENVELOPE for operation in V2.operations.values())
    assert not any(operation.is_open for operation in V2.operations.values()), "no accounts: every caller is one user"


def test_error_shapes() -> None:
    def shape(operation_id: str, status: int) -> Shape:
        return CONTRACT.operations[operation_id].shape(status)

    assert shape("cancelJob", 400) is Shape.MESSAGE
    assert shape("cancelJob", 404) is Shape.ERROR
    assert shape("getVhsQueryVideo", 400) is Shape.MESSAGE
    assert shape("executePrompt", 400) is Shape.PROMPT
    assert shape("executePrompt", 413) is Shape.PROMPT
    assert shape("getUserdata", 404) is Shape.TEXT
    assert shape("getHealth", 503) is Shape.TEXT
    assert shape("listJobs", 400) is Shape.ERROR


def test_statuses_of_requests_that_do_not_fit() -> None:
    assert CONTRACT.operations["createWorkflow"].invalid_status == 422
    assert CONTRACT.operations["listJobs"].invalid_status == 400
    assert CONTRACT.operations["uploadAsset"].too_large_status == 413
    assert CONTRACT.operations["manageQueue"].too_large_status == 400


def test_who_needs_no_credentials() -> None:
    open_to_all = {operation.id for operation in OPERATIONS if operation.is_open}
    assert open_to_all == {
        "getExtensions", "getFeatures", "getGlobalSubgraph", "getGlobalSubgraphs", "getHealth", "getModelFolders",
        "getModelsInFolder", "getNodeReplacements", "getSystemStats", "getWorkflowTemplates",
    }  # fmt: skip


def test_own_routes_are_reached() -> None:
    for route in OWN_ROUTES:
        for path in route.paths:
            assert (route.method, path) in ROUTER
