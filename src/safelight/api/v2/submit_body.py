"""The body of ``POST /api/v2/jobs`` as a :class:`~safelight.services.submission.Draft`, before its references to assets
are resolved."""

from collections.abc import Mapping
from typing import Any

import msgspec

from safelight.core.errors import Unprocessable
from safelight.core.job_label import check_labels
from safelight.graph.prompt_format import is_workflow
from safelight.services.job_secrets import SECRETS
from safelight.services.submission import Draft

_RESERVED = ("webhook_url", "inputs")
"""Members that the contract reserves: refused, so that nobody relies on them."""
_KEY = SECRETS[1]
OWN_MEMBER = "safelight"
"""A member of our own, which the contract does not have: where the job is to run."""
_PLACES = ("engine", "pool")


class InvalidSubmission(Unprocessable):
    code = "invalid_request"


class InvalidWorkflow(Unprocessable):
    code = "invalid_workflow"


class WorkflowInEditorFormat(Unprocessable):
    code = "workflow_format_ui"


def read_draft(body: Any, *, idempotency_key: str | None, is_large: bool) -> Draft:
    """Raises :class:`InvalidSubmission`, :class:`InvalidWorkflow`, :class:`WorkflowInEditorFormat` and
    :class:`~safelight.core.job_label.InvalidLabels`."""
    if not isinstance(body, Mapping):
        raise InvalidSubmission("the body must be an object with a 'workflow'")
    for name in _RESERVED:
        if name in body:
            raise InvalidSubmission(f"{name!r} is reserved, and cannot be used yet")
    workflow = body.get("workflow")
    if is_workflow(workflow) or is_workflow(body):
        message = "the workflow is in the editor's format; export it in API format (Workflow > Export (API))"
        raise WorkflowInEditorFormat(message)
    if not isinstance(workflow, dict):
        raise InvalidWorkflow("'workflow' must be a graph in API format: an object of nodes by id")
    return Draft(
        prompt=workflow,
        extra_data=_extra_data(body) | _placement(body),
        labels=check_labels(body["metadata"]) if "metadata" in body else {},
        idempotency_key=idempotency_key,
        is_large=is_large,
    )


def count_nodes(body: bytes) -> int:
    """How many nodes the graph of an undecoded body has; 0 where there is none."""
    try:
        return len(_count(body).workflow)
    except (msgspec.MsgspecError, RecursionError):
        return 0


def _extra_data(body: Mapping[str, Any]) -> dict[str, str]:
    """The object is closed and not empty: an unknown member would otherwise be dropped without a word."""
    if "extra_data" not in body:
        return {}
    extra = body["extra_data"]
    if not isinstance(extra, dict) or set(extra) != {_KEY} or not isinstance(extra[_KEY], str):
        raise InvalidSubmission(f"'extra_data' must be an object with the string {_KEY!r}, and nothing else")
    return {_KEY: extra[_KEY]}


def _placement(body: Mapping[str, Any]) -> dict[str, str]:
    """The engine kind and the pool that the client requests; ``services/placement.py`` checks that there are such."""
    chosen = body.get(OWN_MEMBER, {})
    if not isinstance(chosen, dict) or set(chosen) - {*_PLACES}:
        raise InvalidSubmission(f"{OWN_MEMBER!r} must be an object with {' or '.join(_PLACES)}, and nothing else")
    for name, value in chosen.items():
        if not isinstance(value, str):
            raise InvalidSubmission(f"invalid {name} {value!r} in {OWN_MEMBER!r}: it must be a string")
    return dict(chosen)


class _Node(msgspec.Struct, gc=False):
    """Any object; its content is skipped."""


class _Counted(msgspec.Struct):
    workflow: dict[str, _Node]


_count = msgspec.json.Decoder(_Counted).decode
