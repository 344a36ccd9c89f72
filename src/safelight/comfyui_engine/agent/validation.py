"""ComfyUI's validation of prompts, and what nodes of a prompt reject that the server has not accepted yet."""

from __future__ import annotations

import copy
import inspect
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .job_folders import FOLDERS, other_folders, place
from .surfaces import Surfaces

_CUSTOM = "custom_validation_failed"
_RAISED = ("exception_during_validation", "exception_during_inner_validation")


@dataclass(frozen=True)
class Validated:
    """``outputs``: the output nodes that may run; ``node_errors`` and ``error``: in ComfyUI's form."""

    outputs: Sequence[str]
    node_errors: Mapping[str, Any]
    error: Any


async def validate(surfaces: Surfaces, prompt_id: str, prompt: dict[str, Any], targets: Sequence[str]) -> Validated:
    """Validate a prompt, which is changed: values get the types that their inputs have."""
    arguments = (prompt_id, prompt, list(targets)) if surfaces.targets_are_arguments else (prompt_id, prompt)
    found = surfaces.execution.validate_prompt(*arguments)
    _, error, outputs, node_errors = await found if inspect.isawaitable(found) else found
    return Validated([each for each in outputs if each in targets], node_errors, error)


async def violations(surfaces: Surfaces, message: Mapping[str, Any], folder: Path) -> dict[str, str | None]:
    """Why the nodes' own code rejects the inputs of a prompt, by node id; ``None`` where it gives no reason.

    ``folder``: where the files of the prompt may be put for as long as this takes.
    """
    prompt = copy.deepcopy(message["prompt"])
    own = folder / uuid.uuid4().hex
    tops = {name: own / name for name in FOLDERS}
    files = {text: Path(file["path"]) for text, file in message.get("files", {}).items()}
    try:
        if files:
            place(files, tops)
        with other_folders(tops):
            found = await validate(surfaces, own.name, prompt, message["targets"])
    finally:
        if files:
            shutil.rmtree(own, ignore_errors=True)
    return dict(_custom(prompt, found.node_errors))


def _custom(prompt: Mapping[str, Any], node_errors: Mapping[str, Any]) -> Any:
    for node_id, found in node_errors.items():
        for reason in found.get("errors", ()):
            kind, details = reason.get("type"), str(reason.get("details", ""))
            if kind == _CUSTOM:
                _, dash, words = details.partition(" - ")
                yield node_id, words if dash else None
                break
            about = reason.get("extra_info") or {}
            if kind in _RAISED and not _has_links(prompt.get(node_id, {})):
                yield node_id, f"{about.get('exception_type', 'Exception')}: {details}"
                break


def _has_links(node: Mapping[str, Any]) -> bool:
    """Whether some value of a node does not exist yet, so that its code could not validate it."""
    return any(isinstance(value, list) for value in node.get("inputs", {}).values())
