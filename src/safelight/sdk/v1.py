"""Adapt ComfyUI's older node classes to :class:`~safelight.sdk.node.Node`: ``INPUT_TYPES``, ``RETURN_TYPES``,
``FUNCTION`` and so on are read once into a schema; the class itself is not changed.

Such a node is an object: it may keep state on ``self`` between calls with the same id. The runtime keeps those objects.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from safelight.core.node import ANY, HIDDEN_FORM, InputSchema, NodeSchema, OutputSchema, Section
from safelight.sdk.node import Node
from safelight.sdk.plain import plain, plain_text


class V1Node(Node):
    """An adapted class. ``source``: the author's class; ``schema``: read from it."""

    source: ClassVar[Any]
    schema: ClassVar[NodeSchema]

    @classmethod
    def node_schema(cls) -> NodeSchema:
        return cls.schema


def adapt(source: type, *, node_id: str, display_name: str | None = None) -> type[V1Node]:
    """Adapt ``source``. Raises what its ``INPUT_TYPES`` raises, and :class:`AttributeError` or :class:`TypeError` if it
    does not have the attributes of a node."""
    if not hasattr(source, getattr(source, "FUNCTION", "")):
        raise AttributeError(f"FUNCTION of {source.__name__} does not name one of its methods")
    schema = _schema(source, node_id, display_name or node_id)
    return type(source.__name__, (V1Node,), {"source": source, "schema": schema, "__module__": source.__module__})


def _schema(source: Any, node_id: str, display_name: str) -> NodeSchema:
    validator = getattr(source, "VALIDATE_INPUTS", None)
    names: tuple[str, ...] = ()
    if validator is not None:
        parameters = inspect.signature(validator).parameters.values()
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        names = ("*",) if takes_all else tuple(p.name for p in parameters)
    return NodeSchema(
        name=node_id,
        display_name=display_name,
        category=plain_text(getattr(source, "CATEGORY", "sd")),
        inputs=tuple(_inputs(source.INPUT_TYPES())),
        outputs=tuple(_outputs(source)),
        description=plain_text(getattr(source, "DESCRIPTION", "")),
        is_output=bool(getattr(source, "OUTPUT_NODE", False)),
        input_is_list=bool(getattr(source, "INPUT_IS_LIST", False)),
        listed_combos=True,
        not_idempotent=bool(getattr(source, "NOT_IDEMPOTENT", False)),
        has_validator=validator is not None,
        validated_inputs=tuple(n for n in names if n != "input_types"),
        validates_types="input_types" in names,
        has_fingerprint=hasattr(source, "IS_CHANGED"),
        deprecated=bool(getattr(source, "DEPRECATED", False)),
        experimental=bool(getattr(source, "EXPERIMENTAL", False)),
        api_node=bool(getattr(source, "API_NODE", False)),
        search_aliases=tuple(plain_text(a) for a in getattr(source, "SEARCH_ALIASES", ())),
        essentials_category=plain(getattr(source, "ESSENTIALS_CATEGORY", None)),
    )


def _inputs(declared: Mapping[str, Mapping[str, Any]]) -> Iterator[InputSchema]:
    for section in (Section.REQUIRED, Section.OPTIONAL):
        for name, spec in (declared.get(section.value) or {}).items():
            kind, config = spec[0], plain(spec[1] if len(spec) > 1 else {})
            if isinstance(kind, list | tuple):
                yield InputSchema(plain_text(name), "COMBO", section, config | _choices(kind))
            else:
                yield InputSchema(plain_text(name), plain_text(kind), section, config)
    for name, kind in (declared.get(Section.HIDDEN.value) or {}).items():
        written = kind[0] if isinstance(kind, list | tuple) and kind else kind
        type_name = plain_text(written) if isinstance(written, str) else ANY
        config = {} if isinstance(kind, str) else {HIDDEN_FORM: plain(kind)}
        yield InputSchema(plain_text(name), type_name, Section.HIDDEN, config)


def _choices(listed: Sequence[Any]) -> dict[str, Any]:
    """Return the choices of a combo. For a list of model files, only its folder: the server lists those files."""
    folder = getattr(listed, "model_folder", None)
    if folder is None:
        return {"options": plain(listed)}
    return {"options": plain(getattr(listed, "own", [])), "model_folder": folder}


def _outputs(source: Any) -> Iterator[OutputSchema]:
    types: Sequence[Any] = getattr(source, "RETURN_TYPES", ())
    names = getattr(source, "RETURN_NAMES", ())
    lists = getattr(source, "OUTPUT_IS_LIST", ())
    tooltips = getattr(source, "OUTPUT_TOOLTIPS", ())
    for index, kind in enumerate(types):
        options = tuple(plain(kind)) if isinstance(kind, list | tuple) else None
        written = "COMBO" if options is not None else plain_text(kind)
        yield OutputSchema(
            type=written,
            name=plain_text(names[index]) if index < len(names) else written,
            is_list=bool(lists[index]) if index < len(lists) else False,
            tooltip=plain(tooltips[index]) if index < len(tooltips) else None,
            options=options,
        )
