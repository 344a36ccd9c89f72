"""The base class of nodes, and what they return."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from safelight.core.node import NodeSchema
from safelight.sdk.schema import Schema


@dataclass(frozen=True)
class Hidden:
    """The values that a node lists in its schema's ``hidden``; the others are ``None``."""

    unique_id: str | None = None
    prompt: Mapping[str, Any] | None = None
    extra_pnginfo: Mapping[str, Any] | None = None
    dynprompt: Any = None
    auth_token_comfy_org: str | None = None
    api_key_comfy_org: str | None = None


@dataclass(frozen=True)
class Blocker:
    """An output that stops every call that would use it; a message is shown to the user."""

    message: str | None = None


class NodeOutput:
    """What ``execute`` returns: ``NodeOutput(image, mask)``, with ``ui=`` for output nodes.

    ``ui`` is a dict of lists, or an object with ``as_dict()`` (``sdk.ui``). ``expand`` is a graph in API format whose
    calls replace this one; the values are then links into it. ``block_execution``: a message; every output is a
    :class:`Blocker`.
    """

    def __init__(
        self,
        *values: Any,
        ui: Any = None,
        expand: dict[str, Any] | None = None,
        block_execution: str | None = None,
    ) -> None:
        self.values = values
        self.ui: dict[str, Any] | None = ui.as_dict() if hasattr(ui, "as_dict") else ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def args(self) -> tuple[Any, ...]:
        """ComfyUI's name for ``values``."""
        return self.values


class Node:
    """A node of the graph: one class, stateless, with ``define_schema`` and ``execute``.

    Optional class methods: ``validate_inputs(**literals) -> bool | str``, ``fingerprint_inputs(**inputs) -> Any`` and
    ``check_lazy_status(**inputs) -> list[str]``; ``execute`` and ``check_lazy_status`` may be coroutines.
    """

    hidden: ClassVar[Hidden] = Hidden()
    reads_in_pieces: ClassVar[frozenset[str]] = frozenset()
    """Inputs whose value may be a :class:`safelight.sdk.in_pieces.InPieces`."""

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError(f"{cls.__name__} must define define_schema")

    @classmethod
    def execute(cls, *args: Any, **inputs: Any) -> Any:
        raise NotImplementedError(f"{cls.__name__} must define execute")

    @classmethod
    def node_schema(cls) -> NodeSchema:
        """Return the declaration as data. The first paragraph of the class docstring is the description."""
        validator = getattr(cls, "validate_inputs", None)
        names: tuple[str, ...] = ()
        if validator is not None:
            parameters = inspect.signature(validator).parameters.values()
            takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
            names = ("*",) if takes_all else tuple(p.name for p in parameters)
        return cls.define_schema().to_node_schema(
            description=_description(cls),
            has_fingerprint=hasattr(cls, "fingerprint_inputs"),
            has_validator=validator is not None,
            validated_inputs=tuple(n for n in names if n != "input_types"),
            validates_types="input_types" in names,
        )


def _description(cls: type) -> str:
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    return " ".join(text.split("\n\n")[0].split())
