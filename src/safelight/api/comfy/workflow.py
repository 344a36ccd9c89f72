"""``/api/workflows``: the caller's saved workflows, their versions, and forks of them."""

from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.core.clock import whole_ms
from safelight.core.ids import UserId, VersionId, WorkflowId
from safelight.core.paging import PageRequest
from safelight.core.workflow import DefaultView, Origin, Workflow, WorkflowSort, WorkflowVersion
from safelight.services import workflow as workflows
from safelight.services.workflow import NewWorkflow


async def list_workflows(app: App, request: ApiRequest) -> Response:
    who, page_request = request.who, _page_request(request)
    filters: dict[str, Any] = {
        "name": request.params["name"],
        "default_view": _view(request.params["default_view"]),
        "sort": WorkflowSort(request.params["sort"]),
        "descending": request.params["order"] == "desc",
    }
    page = await app.db.read(lambda tx: workflows.list(tx, who, page=page_request, **filters))
    pagination = {
        "offset": page_request.offset,
        "limit": page_request.limit,
        "total": page.total,
        "has_more": page.has_more,
    }
    return json_response({"data": [_shown(workflow) for workflow in page.items], "pagination": pagination})


async def create_workflow(app: App, request: ApiRequest) -> Response:
    who, body, now = request.who, request.body, whole_ms(app.clock.now())
    new = NewWorkflow(
        content=body["workflow_json"],
        name=body.get("name"),
        description=body.get("description"),
        default_view=_view(body.get("default_view")) or DefaultView.WORKFLOW,
        forked_from=_origin(body),
    )
    workflow = await app.db.write(lambda tx: workflows.create(tx, who, new=new, now=now))
    return json_response(_shown(workflow), status=201)


async def get_workflow(app: App, request: ApiRequest) -> Response:
    who, workflow_id = request.who, _id(request)
    return json_response(_shown(await app.db.read(lambda tx: workflows.get(tx, who, workflow_id=workflow_id))))


async def update_workflow(app: App, request: ApiRequest) -> Response:
    who, workflow_id, body, now = request.who, _id(request), request.body, whole_ms(app.clock.now())
    words: dict[str, Any] = {
        "name": body.get("name"),
        "description": body.get("description"),
        "default_view": _view(body.get("default_view")),
    }
    after = await app.db.write(lambda tx: workflows.change(tx, who, workflow_id=workflow_id, now=now, **words))
    return json_response(_shown(after))


async def delete_workflow(app: App, request: ApiRequest) -> Response:
    who, workflow_id, now = request.who, _id(request), whole_ms(app.clock.now())
    await app.db.write(lambda tx: workflows.remove(tx, who, workflow_id=workflow_id, now=now))
    return Response(status_code=204)


async def get_workflow_content(app: App, request: ApiRequest) -> Response:
    who, workflow_id = request.who, _id(request)
    version = await app.db.read(lambda tx: workflows.latest(tx, who, workflow_id=workflow_id))
    content = {"workflow_json": version.content, "dependency_asset_ids": version.dependencies}
    return json_response(_shown_version(version, who.user_id) | content)


async def create_workflow_version(app: App, request: ApiRequest) -> Response:
    who, workflow_id, body, now = request.who, _id(request), request.body, whole_ms(app.clock.now())
    words: dict[str, Any] = {"base_version": body["base_version"], "content": body["workflow_json"]}
    version = await app.db.write(lambda tx: workflows.add_version(tx, who, workflow_id=workflow_id, now=now, **words))
    return json_response(_shown_version(version, who.user_id) | {"latest_version": version.version}, status=201)


async def fork_workflow(app: App, request: ApiRequest) -> Response:
    who, workflow_id, body, now = request.who, _id(request), request.body, whole_ms(app.clock.now())
    words: dict[str, Any] = {"version": int(body["source_version"]), "name": body.get("name")}
    forked = await app.db.write(lambda tx: workflows.fork(tx, who, workflow_id=workflow_id, now=now, **words))
    return json_response(_shown(forked), status=201)


def _id(request: ApiRequest) -> WorkflowId:
    return WorkflowId(request.params["workflow_id"])


def _page_request(request: ApiRequest) -> PageRequest:
    """The contract takes any number from below, has no code to refuse it, and says what it answers: at least these."""
    return PageRequest(limit=max(1, request.params["limit"]), offset=max(0, request.params["offset"]))


def _view(text: str | None) -> DefaultView | None:
    return DefaultView(text) if text is not None else None


def _origin(body: dict[str, Any]) -> Origin | None:
    """A version without its workflow says nothing that could be checked, and is passed over."""
    if "forked_from_workflow_id" not in body:
        return None
    version_id = body.get("forked_from_workflow_version_id")
    workflow_id = WorkflowId(body["forked_from_workflow_id"])
    return Origin(workflow_id, None if version_id is None else VersionId(version_id))


def _shown(workflow: Workflow) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": workflow.id,
        "default_view": workflow.default_view,
        "latest_version": workflow.latest_version,
        "created_by": workflow.owner_id,
        "created_at": workflow.created_at,
        "updated_at": workflow.updated_at,
    }
    if workflow.name is not None:
        shown["name"] = workflow.name
    if workflow.description is not None:
        shown["description"] = workflow.description
    if (origin := workflow.forked_from) is not None:
        version = {} if origin.version_id is None else {"workflow_version_id": origin.version_id}
        shown["forked_from"] = {"workflow_id": origin.workflow_id} | version
    return shown


def _shown_version(version: WorkflowVersion, owner_id: UserId) -> dict[str, Any]:
    words = {"id": version.id, "version": version.version}
    return words | {"created_by": owner_id, "created_at": version.created_at}
