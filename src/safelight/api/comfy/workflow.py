"""``/api/workflows``: the caller's saved workflows, their versions, and forks of them."""

from typing import Any

from safelight.api.api_request import ApiRequest
from safelight.api.handler import reads, writes
from safelight.core.clock import whole_ms
from safelight.core.ids import UserId, VersionId, WorkflowId
from safelight.core.paging import PageRequest
from safelight.core.workflow import DefaultView, Origin, Workflow, WorkflowSort, WorkflowVersion
from safelight.db.transaction import Transaction
from safelight.services import workflow as workflows
from safelight.services.workflow import NewWorkflow


@reads
def list_workflows(tx: Transaction, request: ApiRequest) -> Any:
    params = request.params
    # The contract sets no lower limits, declares no error for such numbers, and says that at least these are answered.
    page_request = PageRequest(limit=max(1, params["limit"]), offset=max(0, params["offset"]))
    page = workflows.list(
        tx,
        request.who,
        name=params["name"],
        default_view=_view(params["default_view"]),
        sort=WorkflowSort(params["sort"]),
        descending=params["order"] == "desc",
        page=page_request,
    )
    pagination = {
        "offset": page_request.offset,
        "limit": page_request.limit,
        "total": page.total,
        "has_more": page.has_more,
    }
    return {"data": [_shown(workflow) for workflow in page.items], "pagination": pagination}


@writes(status=201)
def create_workflow(tx: Transaction, request: ApiRequest) -> Any:
    body = request.body
    new = NewWorkflow(
        content=body["workflow_json"],
        name=body.get("name"),
        description=body.get("description"),
        default_view=_view(body.get("default_view")) or DefaultView.WORKFLOW,
        forked_from=_origin(body),
    )
    return _shown(workflows.create(tx, request.who, new=new, now=whole_ms(request.now)))


@reads
def get_workflow(tx: Transaction, request: ApiRequest) -> Any:
    return _shown(workflows.get(tx, request.who, workflow_id=_id(request)))


@writes
def update_workflow(tx: Transaction, request: ApiRequest) -> Any:
    body = request.body
    after = workflows.change(
        tx,
        request.who,
        workflow_id=_id(request),
        name=body.get("name"),
        description=body.get("description"),
        default_view=_view(body.get("default_view")),
        now=whole_ms(request.now),
    )
    return _shown(after)


@writes(status=204)
def delete_workflow(tx: Transaction, request: ApiRequest) -> Any:
    workflows.remove(tx, request.who, workflow_id=_id(request), now=whole_ms(request.now))


@reads
def get_workflow_content(tx: Transaction, request: ApiRequest) -> Any:
    version = workflows.latest(tx, request.who, workflow_id=_id(request))
    content = {"workflow_json": version.content, "dependency_asset_ids": version.dependencies}
    return _shown_version(version, request.who.user_id) | content


@writes(status=201)
def create_workflow_version(tx: Transaction, request: ApiRequest) -> Any:
    version = workflows.add_version(
        tx,
        request.who,
        workflow_id=_id(request),
        base_version=request.body["base_version"],
        content=request.body["workflow_json"],
        now=whole_ms(request.now),
    )
    return _shown_version(version, request.who.user_id) | {"latest_version": version.version}


@writes(status=201)
def fork_workflow(tx: Transaction, request: ApiRequest) -> Any:
    version, name = int(request.body["source_version"]), request.body.get("name")
    forked = workflows.fork(
        tx, request.who, workflow_id=_id(request), version=version, name=name, now=whole_ms(request.now)
    )
    return _shown(forked)


def _id(request: ApiRequest) -> WorkflowId:
    return WorkflowId(request.params["workflow_id"])


def _view(text: str | None) -> DefaultView | None:
    return DefaultView(text) if text is not None else None


def _origin(body: dict[str, Any]) -> Origin | None:
    """The workflow that the body was forked from. A version id without its workflow cannot be checked and is
    ignored."""
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
    return {
        "id": version.id,
        "version": version.version,
        "created_by": owner_id,
        "created_at": version.created_at,
    }
