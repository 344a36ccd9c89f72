"""The body of ``POST /api/prompt`` as a :class:`~safelight.services.submission.Draft`.

The contract's schema does not check it: clients of ComfyUI expect ComfyUI's own errors for a prompt that is missing or
is not a graph, and send numbers and null as ids.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from safelight.api.request_body import InvalidBody
from safelight.core.errors import InvalidPrompt
from safelight.core.ids import ClientId, is_job_id
from safelight.graph import validation_errors
from safelight.graph.prompt_format import is_workflow
from safelight.services.submission import Draft

MAX_CLIENT_ID = 256


def read_draft(body: Any, *, is_large: bool) -> Draft:
    """Raises :class:`~safelight.core.errors.InvalidPrompt` for a body without a prompt, and :class:`InvalidBody` for a
    field of another type."""
    if is_workflow(body):
        raise validation_errors.workflow_instead()
    if not isinstance(body, Mapping) or "prompt" not in body:
        message = "No prompt provided"
        raise InvalidPrompt({"type": "no_prompt", "message": message, "details": message, "extra_info": {}}, {})
    extra_data = _typed(body, "extra_data", dict, "an object") or {}
    return Draft(
        prompt=_typed(body, "prompt", (dict, list), "a graph") or {},
        targets=_targets(body),
        extra_data=extra_data,
        client_id=_client_id(body.get("client_id")),
        job_id=_job_id(body.get("prompt_id")),
        number=_number(body),
        front=bool(body.get("front")),
        workflow_id=_workflow_id(body, extra_data),
        is_large=is_large,
    )


def count_nodes(body: bytes) -> int:
    """How many nodes the prompt of an undecoded body has; 0 where there is no prompt."""
    try:
        return len(_count(body).prompt)
    except (msgspec.MsgspecError, RecursionError):
        return 0


class _Node(msgspec.Struct, gc=False):
    """Any object; its content is skipped."""


class _Counted(msgspec.Struct):
    prompt: dict[str, _Node]


_count = msgspec.json.Decoder(_Counted).decode


def _number(body: Mapping[str, Any]) -> float | None:
    number = _typed(body, "number", (int, float), "a number")
    try:
        return None if number is None else float(number)
    except OverflowError:
        raise InvalidBody("'number' is too large") from None


def _targets(body: Mapping[str, Any]) -> Sequence[str] | None:
    """The requested outputs, ``None`` for all; some clients send null for all."""
    if body.get("partial_execution_targets") is None:
        return None
    return [str(target) for target in _typed(body, "partial_execution_targets", list, "a list of node ids")]


def _typed(body: Mapping[str, Any], name: str, kind: Any, expected: str) -> Any:
    """``None`` where the key is absent. Null is not a valid value of any of these keys (ComfyUI answers 500)."""
    if name not in body:
        return None
    value = body[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidBody(f"{name!r} is not {expected}")
    return value


def _client_id(value: Any) -> ClientId | None:
    if value is None or value == "":
        return None
    text = str(value)
    if len(text) > MAX_CLIENT_ID:
        raise InvalidBody(f"'client_id' is longer than {MAX_CLIENT_ID} characters")
    return ClientId(text)


def _job_id(value: Any) -> str | None:
    """The client's own id for its job. Null means that it chooses none (HTTP-3)."""
    if value is None:
        return None
    text = str(value)
    if not is_job_id(text):
        raise InvalidBody(f"'prompt_id' is {text[:200]!r}: 1 to 128 letters, digits and . _ : - are allowed")
    return text


def _workflow_id(body: Mapping[str, Any], extra_data: Mapping[str, Any]) -> str | None:
    """The contract's field, else the id of the saved workflow that the web UI sends along."""
    explicit = body.get("workflow_id")
    if explicit is not None:
        if not isinstance(explicit, str):
            raise InvalidBody("'workflow_id' is not a string")
        return explicit
    pnginfo = extra_data.get("extra_pnginfo")
    workflow = pnginfo.get("workflow") if isinstance(pnginfo, Mapping) else None
    found = workflow.get("id") if isinstance(workflow, Mapping) else None
    return found if isinstance(found, str) and found else None
