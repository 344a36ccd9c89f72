"""Inputs that depend on the values of others: the live inputs of a call, and how they are nested for the node.

A prompt is flat: ``{"resize_type": "scale width", "resize_type.width": 11, "images.image0": [...]}``. The node receives
the same nested: ``{"resize_type": {"resize_type": "scale width", "width": 11}, "images": {"image0": ...}}``. A dynamic
combo becomes a dict of its choice, under its own name, and the inputs of the chosen option; an autogrow list becomes a
dict of the inputs that were given. They may be nested in each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from safelight.core.node import ANY, Catalogue, InputSchema, NodeSchema, Section
from safelight.graph.prompt_format import literal

DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
AUTOGROW = "COMFY_AUTOGROW_V3"

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LiveInput:
    """An input that a call has. ``declared.id`` is the flat key in the prompt, ``path`` the keys in the node's
    arguments.

    A *container* has no value of its own: an autogrow list, which the node receives as a dict even when it is empty.
    """

    declared: InputSchema
    path: Path
    is_container: bool = False


class LiveInputs:
    """The live inputs of calls, by node and values. Mutable: caches the inputs of nodes without dynamic ones."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._fixed: dict[str, tuple[LiveInput, ...] | None] = {}

    def of(self, node: str, values: Mapping[str, Any]) -> Sequence[LiveInput]:
        """Return all inputs except those the engine fills in, in declaration order; the inputs of an option follow the
        choice."""
        if node not in self._fixed:
            self._fixed[node] = _fixed_inputs(self._catalogue[node])
        fixed = self._fixed[node]
        return fixed if fixed is not None else live_inputs(self._catalogue[node], values)


def live_inputs(schema: NodeSchema, values: Mapping[str, Any]) -> list[LiveInput]:
    """Return the inputs that a call of ``schema`` has when its flat inputs are ``values`` (literals and links)."""
    live: list[LiveInput] = []
    for declared in _from_prompt(schema):
        live.extend(_open(declared, (), values))
    return live


def _from_prompt(schema: NodeSchema) -> Iterator[InputSchema]:
    """Hidden inputs that the engine does not fill in count as optional inputs of any type; the UI does not show
    them."""
    for declared in schema.inputs:
        if declared.section is not Section.HIDDEN:
            yield declared
        elif not declared.is_filled_in:
            yield InputSchema(declared.id, ANY, Section.OPTIONAL)


def nest(live: Sequence[LiveInput], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Nest the flat ``arguments`` for the node; keys that are not live inputs stay as they are."""
    paths = {item.declared.id: item.path for item in live if not item.is_container}
    nested: dict[str, Any] = {}
    for item in live:
        if item.is_container:
            _place(nested, item.path, {})
    for name, value in arguments.items():
        _place(nested, paths.get(name, (name,)), value)
    return nested


def _fixed_inputs(schema: NodeSchema) -> tuple[LiveInput, ...] | None:
    shown = list(_from_prompt(schema))
    if any(i.type in (DYNAMIC_COMBO, AUTOGROW) for i in shown):
        return None
    return tuple(LiveInput(i, (i.id,)) for i in shown)


def _open(declared: InputSchema, parent: Path, values: Mapping[str, Any]) -> Iterator[LiveInput]:
    """``declared`` has its own short id; ``parent`` is the path of the dynamic input that it belongs to."""
    path = (*parent, declared.id)
    flat = replace(declared, id=".".join(path))
    if declared.type == DYNAMIC_COMBO:
        yield LiveInput(flat, (*path, declared.id))
        choice = literal(values.get(flat.id))
        for option in declared.config.get("options") or ():
            if option["key"] == choice:
                for inner in _declared_in(option.get("inputs") or {}):
                    yield from _open(inner, path, values)
    elif declared.type == AUTOGROW:
        yield LiveInput(flat, path, is_container=True)
        yield from _grow(declared, path, values)
    else:
        yield LiveInput(flat, path)


def _grow(declared: InputSchema, path: Path, values: Mapping[str, Any]) -> Iterator[LiveInput]:
    template = declared.config.get("template") or {}
    inner = next(_declared_in(template.get("input") or {}), None)
    if inner is None:
        return
    prefix = ".".join(path) + "."
    names = template.get("names") or [f"{template.get('prefix', '')}{n}" for n in range(template.get("max", 0))]
    needed = template.get("min", 0) if declared.section is Section.REQUIRED else 0
    given = {key.removeprefix(prefix).partition(".")[0] for key in values if key.startswith(prefix)}
    for position, name in enumerate(names):
        # Beyond the minimum, only inputs that were given are live: a list may have hundreds of names.
        if position < needed or name in given:
            section = inner.section if position < needed else Section.OPTIONAL
            yield from _open(replace(inner, id=name, section=section), path, values)


def _declared_in(written: Mapping[str, Mapping[str, Any]]) -> Iterator[InputSchema]:
    for section in (Section.REQUIRED, Section.OPTIONAL):
        for name, declaration in (written.get(section.value) or {}).items():
            kind = declaration[0]
            config = dict(declaration[1]) if len(declaration) > 1 else {}
            if isinstance(kind, list):
                kind, config = "COMBO", config | {"options": kind}
            yield InputSchema(name, kind, section, config)


def _place(nested: dict[str, Any], path: Path, value: Any) -> None:
    for name in path[:-1]:
        inner = nested.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        nested = inner
    nested[path[-1]] = value
