"""``/api/prompt``: a prompt comes in. Reads ComfyUI's dialect of a submit; what may run is judged by ``graph``.

Bodies are not checked by the contract's schema: clients of ComfyUI expect its own errors for a prompt that is missing
or no graph, and send numbers and null as ids.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.comfy.job_json import plain_number
from safelight.api.deadline import attended
from safelight.api.heavy import LARGE_BODY_BYTES
from safelight.api.request_body import InvalidBody
from safelight.api.responses import json_response
from safelight.core.asset import Asset
from safelight.core.errors import InvalidPrompt, Unavailable
from safelight.core.ids import ClientId, is_job_id
from safelight.core.node import Catalogue
from safelight.graph import faults
from safelight.graph.literals import names_file
from safelight.graph.prompt import Limits, check_size, is_workflow
from safelight.graph.validate import Judge, ValidPrompt, asks_worker, validate
from safelight.services import asset as assets
from safelight.services import job as jobs
from safelight.services.job import SubmitJob
from safelight.services.placement import Placement, place
from safelight.services.prompt_files import strings_of

CATALOGUE_WAIT_S = 30.0
"""How long a submit waits on a server's first start for a worker to say what it can run."""
LONG_PROMPT = 200
"""Nodes above which validation is heavy work."""
LONGEST_NAME = 4096
"""Characters of a text above which it cannot name a file."""
MAX_CLIENT_ID = 256


async def get_prompt_info(app: App, request: ApiRequest) -> Response:
    who = request.who
    remaining = await app.db.read(lambda tx: jobs.remaining(tx, who))
    return json_response({"exec_info": {"queue_remaining": remaining}})


async def execute_prompt(app: App, request: ApiRequest) -> Response:
    who = request.who
    raw = await request.read(limit=app.settings.max_body_bytes)
    async with attended(request.http, limit_s=app.settings.read_deadline_s):
        command, node_errors = await _read(app, request, raw)
    now = app.clock.now()
    job = await app.db.write(lambda tx: jobs.submit(tx, who, command=command, now=now))
    number = plain_number(job.number)
    return json_response({"prompt_id": job.shown_id, "number": number, "node_errors": node_errors})


async def _read(app: App, request: ApiRequest, raw: bytes) -> tuple[SubmitJob, Mapping[str, Any]]:
    """The job that a valid body asks for, and the errors of outputs that were dropped."""
    limits = Limits(nodes=app.settings.max_graph_nodes)
    if len(raw) > LARGE_BODY_BYTES:
        check_size(await request.run(lambda: _count_nodes(raw), is_heavy=True), limits)
    body = await request.decode(raw)
    if is_workflow(body):
        raise faults.workflow_instead()
    if not isinstance(body, Mapping) or "prompt" not in body:
        raise _invalid("no_prompt", "No prompt provided")
    asked = _read_command(body)
    if asked.has_secrets and not app.dispatcher.is_here:
        raise Unavailable("the server that would keep this job's keys cannot be reached; try again in a few seconds")
    check_size(len(asked.prompt), limits)
    is_heavy = len(raw) > LARGE_BODY_BYTES or len(asked.prompt) > LONG_PROMPT
    valid = await _validate(app, request, asked.prompt, targets=_targets(body), is_heavy=is_heavy)
    placement = await _place(app, request, valid.prompt, asked.extra_data, is_heavy=is_heavy)
    return replace(asked, prompt=valid.prompt, targets=valid.targets, placement=placement), valid.node_errors


async def _validate(
    app: App, request: ApiRequest, prompt: Mapping[str, Any], *, targets: Sequence[str] | None, is_heavy: bool
) -> ValidPrompt:
    who = request.who
    if not await app.catalogue.wait_ready(CATALOGUE_WAIT_S):
        raise Unavailable("No worker has started yet, so that no node is known; try again in a moment")
    catalogue = app.catalogue.current
    files: Mapping[str, Asset] = {}
    if _may_name_files(prompt, catalogue):
        names = await request.run(lambda: _names(prompt, limit=app.settings.max_prompt_names), is_heavy=is_heavy)
        files = await app.db.read(lambda tx: assets.files_named(tx, who, names=names))
    limits = Limits(nodes=app.settings.max_graph_nodes)

    async def check(judge: Judge | None) -> ValidPrompt:
        return await request.run(
            lambda: validate(
                prompt, catalogue, targets=targets, file_exists=files.__contains__, judge=judge, limits=limits
            ),
            is_heavy=is_heavy,
        )

    valid = await check(None)
    if not any(asks_worker(catalogue[str(node["class_type"])]) for node in valid.prompt.values()):
        return valid
    objections = await app.dispatcher.validate_inputs(
        who.user_id, prompt=valid.prompt, targets=valid.targets, files=files
    )
    return await check(lambda call_id, *_: (objections[call_id] or False) if call_id in objections else True)


async def _place(
    app: App, request: ApiRequest, prompt: Mapping[str, Any], extra_data: Mapping[str, Any], *, is_heavy: bool
) -> Placement:
    settings = app.settings

    def work() -> Placement:
        pools, classes = settings.pool_names, settings.size_classes
        return place(prompt, extra_data, models=app.models, pools=pools, classes=classes)

    if settings.pool_sizes and not is_heavy:  # looks at files
        return await asyncio.to_thread(work)
    return await request.run(work, is_heavy=is_heavy)


def _read_command(body: Mapping[str, Any]) -> SubmitJob:
    """All but the targets, which validation chooses."""
    extra_data = _typed(body, "extra_data", dict, "an object") or {}
    return SubmitJob(
        prompt=_typed(body, "prompt", (dict, list), "a graph") or {},
        targets=(),
        extra_data=extra_data,
        client_id=_client_id(body.get("client_id")),
        job_id=_job_id(body.get("prompt_id")),
        number=_number(body),
        front=bool(body.get("front")),
        workflow_id=_workflow_id(body, extra_data),
    )


def _number(body: Mapping[str, Any]) -> float | None:
    number = _typed(body, "number", (int, float), "a number")
    try:
        return None if number is None else float(number)
    except OverflowError:
        raise InvalidBody("'number' is too large") from None


def _targets(body: Mapping[str, Any]) -> Sequence[str] | None:
    """The outputs that were asked for, ``None`` for all; null is what some clients send for all."""
    if body.get("partial_execution_targets") is None:
        return None
    return [str(target) for target in _typed(body, "partial_execution_targets", list, "a list of node ids")]


def _typed(body: Mapping[str, Any], name: str, kind: Any, words: str) -> Any:
    """``None`` where the key is absent. Null is no value of any of these (ComfyUI answers 500)."""
    if name not in body:
        return None
    value = body[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidBody(f"{name!r} is not {words}")
    return value


def _client_id(value: Any) -> ClientId | None:
    if value is None or value == "":
        return None
    text = str(value)
    if len(text) > MAX_CLIENT_ID:
        raise InvalidBody(f"'client_id' is longer than {MAX_CLIENT_ID} characters")
    return ClientId(text)


def _job_id(value: Any) -> str | None:
    """A client's own id for its job. Null is none (HTTP-3)."""
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
            raise InvalidBody("'workflow_id' is not a text")
        return explicit
    pnginfo = extra_data.get("extra_pnginfo")
    workflow = pnginfo.get("workflow") if isinstance(pnginfo, Mapping) else None
    found = workflow.get("id") if isinstance(workflow, Mapping) else None
    return found if isinstance(found, str) and found else None


def _may_name_files(prompt: Any, catalogue: Catalogue) -> bool:
    """Whether a node of the prompt has a combo of the user's files. Dynamic inputs may hide one."""
    if not isinstance(prompt, Mapping):
        return False
    classes = {str(node.get("class_type")) for node in prompt.values() if isinstance(node, Mapping)}
    schemas = (catalogue[name] for name in classes if name in catalogue)
    return any(names_file(i) or i.type.startswith("COMFY_") for schema in schemas for i in schema.inputs)


class _Node(msgspec.Struct, gc=False):
    """Any object; what is in it is skipped."""


class _Counted(msgspec.Struct):
    prompt: dict[str, _Node]


_count = msgspec.json.Decoder(_Counted).decode


def _count_nodes(body: bytes) -> int:
    """How many nodes a prompt has, in a tenth of the time that it takes to decode; 0 for what is no prompt."""
    try:
        return len(_count(body).prompt)
    except (msgspec.MsgspecError, RecursionError):
        return 0


def _names(prompt: Mapping[str, Any], *, limit: int) -> set[str]:
    """The texts that may name files. Raises :class:`InvalidPrompt` where there are more than ``limit``."""
    names: set[str] = set()
    for text in strings_of(prompt):
        if len(text) <= LONGEST_NAME:
            names.add(text)
            if len(names) > limit:
                details = f"more than {limit} different texts"
                raise _invalid("invalid_prompt", "The prompt has too many texts that may name files", details)
    return names


def _invalid(kind: str, message: str, details: str = "") -> InvalidPrompt:
    return InvalidPrompt({"type": kind, "message": message, "details": details or message, "extra_info": {}}, {})
