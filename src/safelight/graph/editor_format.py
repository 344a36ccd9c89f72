"""From the editor's format of a workflow to the graph in API format that it runs.

The editor stores links in a table, and the values of a node's widgets as a bare list in the order of its declaration.
Muted nodes (mode 2) are left out; a bypassed node (mode 4) passes its input of the same type on; reroutes, primitive
nodes and notes exist in the editor only; a subgraph is opened, and the ids of its nodes become ``<outer>:<inner>``.
Virtual nodes of other packs (``SetNode``, ``GetNode``) stay in the graph, and its validation refuses them.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from safelight.core.node import Catalogue, InputSchema, NodeSchema, Section
from safelight.graph.dynamic import DYNAMIC_COMBO, live_inputs
from safelight.graph.prompt_format import DEFAULT_LIMITS, LITERAL_KEY, Limits, check_size
from safelight.graph.validation_errors import invalid_prompt

_MUTED, _BYPASSED = 2, 4
_IN_EDITOR = {"Reroute", "PrimitiveNode", "Note", "MarkdownNote"}
_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", DYNAMIC_COMBO}
_CONTROLS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
"""Values of the widget that follows a seed, and changes it after each run in the editor."""
_MAX_DEPTH = 16
"""Levels of subgraphs."""
_MAX_HOPS = 1000
"""Reroutes, bypassed nodes and borders of subgraphs between the two ends of a link."""
_INPUTS_OF_SUBGRAPH, _OUTPUTS_OF_SUBGRAPH = -10, -20
"""The ids that a subgraph's border has among its nodes."""


@dataclass(frozen=True, slots=True)
class _Literal:
    value: Any


@dataclass(slots=True)
class _Scope:
    """The nodes of the workflow, or of one use of a subgraph. Mutable: the subgraphs inside that have been opened.

    ``origins``: by link, the node and its output. Of a subgraph, ``ends``: the link to each of its outputs; ``starts``:
    the nodes, and their inputs, behind each of its inputs. ``parent`` and ``instance``: where it is used.
    """

    prefix: str
    nodes: Mapping[int | str, Mapping[str, Any]]
    origins: Mapping[int | str, tuple[int | str, int]]
    ends: Mapping[int, int | str]
    starts: Mapping[int, Sequence[tuple[int | str, int]]]
    input_names: Sequence[str] = ()
    parent: "_Scope | None" = None
    instance: Mapping[str, Any] = field(default_factory=dict)
    depth: int = 0
    inner: dict[int | str, "_Scope"] = field(default_factory=dict)


def to_prompt(document: Mapping[str, Any], catalogue: Catalogue, *, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """The graph in API format, with the titles of nodes in ``_meta``. Raises
    :class:`~safelight.core.errors.InvalidPrompt` for a document that is not a workflow, or too large when opened."""
    return _Conversion(document, catalogue, limits).run()


class _Conversion:
    def __init__(self, document: Mapping[str, Any], catalogue: Catalogue, limits: Limits) -> None:
        self._document = document
        self._catalogue = catalogue
        self._limits = limits
        self._subgraphs = {one["id"]: one for one in _dicts(_get(document, "definitions", "subgraphs")) if "id" in one}
        self._prompt: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        try:
            self._emit(_scope("", self._document))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise invalid_prompt("The workflow cannot be read", f"{type(error).__name__}: {error}") from None
        return self._prompt

    def _emit(self, scope: _Scope) -> None:
        for node in scope.nodes.values():
            kind = str(node["type"])
            if node.get("mode") in (_MUTED, _BYPASSED) or kind in _IN_EDITOR:
                continue
            if kind in self._subgraphs:
                self._emit(self._open(scope, node))
                continue
            self._prompt[f"{scope.prefix}{node['id']}"] = {
                "class_type": kind,
                "inputs": self._inputs(scope, node, kind),
                "_meta": {"title": str(node.get("title") or kind)},
            }
            check_size(len(self._prompt), self._limits)

    def _inputs(self, scope: _Scope, node: Mapping[str, Any], kind: str) -> dict[str, Any]:
        """The values of widgets, and links instead of them where there are any."""
        linked = {
            str(slot["name"]): slot["link"] for slot in _dicts(node.get("inputs")) if slot.get("link") is not None
        }
        found = {name: _wrapped(value) for name, value in self._widgets(node, kind)}
        for name, link in linked.items():
            source = self._source(scope, link)
            if isinstance(source, _Literal):
                found[name] = _wrapped(source.value)
            elif source is not None:
                found[name] = source
        return found

    def _widgets(self, node: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Any]]:
        values = node.get("widgets_values")
        schema = self._catalogue.get(kind)
        if isinstance(values, Mapping):
            yield from ((str(name), value) for name, value in values.items() if schema and schema.input(str(name)))
            return
        if schema is None or not isinstance(values, list):
            return
        given: dict[str, Any] = {}
        rest = deque(values)
        while (widget := _next_widget(schema, given)) is not None:
            given[widget.id] = rest.popleft() if rest else widget.config.get("default", _NONE)
            if given[widget.id] is not _NONE:
                yield widget.id, given[widget.id]
            has_control = widget.config.get("control_after_generate") or widget.id in ("seed", "noise_seed")
            if rest and has_control and rest[0] in _CONTROLS:
                rest.popleft()

    def _source(self, scope: _Scope, link: int | str) -> list[Any] | _Literal | None:
        """What a link brings: an output of a node in the graph, the value of a primitive node, or nothing."""
        for _ in range(_MAX_HOPS):
            if link not in scope.origins:
                return None
            origin, slot = scope.origins[link]
            if origin == _INPUTS_OF_SUBGRAPH:
                outer = self._outside(scope, slot)
                if outer is None or isinstance(outer, _Literal):
                    return outer
                scope, link = outer
                continue
            node = scope.nodes.get(origin)
            if node is None or node.get("mode") == _MUTED:
                return None
            kind = str(node["type"])
            following: int | str | None
            if node.get("mode") == _BYPASSED:
                following = _passed_on(node, slot)
            elif kind == "Reroute":
                following = next((one.get("link") for one in _dicts(node.get("inputs"))), None)
            elif kind == "PrimitiveNode":
                values = node.get("widgets_values")
                return _Literal(values[0]) if isinstance(values, list) and values else None
            elif kind in self._subgraphs:
                scope = self._open(scope, node)
                following = scope.ends.get(slot)
            else:
                return None if kind in _IN_EDITOR else [f"{scope.prefix}{origin}", slot]
            if following is None:
                return None
            link = following
        raise invalid_prompt("The workflow cannot be read", f"the link {link!r} leads in a circle")

    def _outside(self, scope: _Scope, slot: int) -> "tuple[_Scope, int | str] | _Literal | None":
        """What the use of a subgraph brings to one of its inputs: a link outside, a value, or nothing."""
        if scope.parent is None or slot >= len(scope.input_names):
            return None
        name = scope.input_names[slot]
        inputs = _dicts(scope.instance.get("inputs"))
        entry = next((one for one in inputs if one.get("name") == name), None)
        if entry is not None and entry.get("link") is not None:
            return scope.parent, entry["link"]
        widgets = [one.get("name") for one in inputs if "widget" in one]
        values = scope.instance.get("widgets_values")
        if name in widgets and isinstance(values, list) and len(values) == len(widgets):
            return _Literal(values[widgets.index(name)])
        return self._value_inside(scope, slot)

    def _value_inside(self, scope: _Scope, slot: int) -> _Literal | None:
        """The value of the first widget that an input of a subgraph sets: the others follow it."""
        for target, target_slot in scope.starts.get(slot, ()):
            node = scope.nodes.get(target, {})
            entry = _dicts(node.get("inputs"))[target_slot : target_slot + 1]
            for name, value in self._widgets(node, str(node.get("type"))) if entry else ():
                if name == entry[0].get("name"):
                    return _Literal(value)
        return None

    def _open(self, scope: _Scope, node: Mapping[str, Any]) -> _Scope:
        if node["id"] not in scope.inner:
            if scope.depth >= _MAX_DEPTH:
                raise invalid_prompt("The workflow cannot be read", f"subgraphs are nested deeper than {_MAX_DEPTH}")
            prefix = f"{scope.prefix}{node['id']}:"
            scope.inner[node["id"]] = _scope(prefix, self._subgraphs[node["type"]], parent=scope, instance=node)
        return scope.inner[node["id"]]


_NONE = object()


def _scope(
    prefix: str,
    graph: Mapping[str, Any],
    *,
    parent: _Scope | None = None,
    instance: Mapping[str, Any] | None = None,
) -> _Scope:
    """Links are lists in the workflow itself, and objects in subgraphs."""
    origins: dict[int | str, tuple[int | str, int]] = {}
    ends: dict[int, int | str] = {}
    starts: dict[int, list[tuple[int | str, int]]] = {}
    for link in graph.get("links") or ():
        if isinstance(link, Mapping):
            names = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
            link_id, origin, slot, target, target_slot = (link[name] for name in names)
        else:
            link_id, origin, slot, target, target_slot = link[:5]
        origins[link_id] = (origin, int(slot))
        if origin == _INPUTS_OF_SUBGRAPH:
            starts.setdefault(int(slot), []).append((target, int(target_slot)))
        if target == _OUTPUTS_OF_SUBGRAPH:
            ends[int(target_slot)] = link_id
    return _Scope(
        prefix=prefix,
        nodes={node["id"]: node for node in _dicts(graph.get("nodes"))},
        origins=origins,
        ends=ends,
        starts=starts,
        input_names=[str(one.get("name")) for one in _dicts(graph.get("inputs"))] if parent is not None else (),
        parent=parent,
        instance=instance or {},
        depth=0 if parent is None else parent.depth + 1,
    )


def _passed_on(node: Mapping[str, Any], slot: int) -> int | str | None:
    """The link of the input that a bypassed node passes on to an output: the one beside it if it has the same type,
    else the first of that type."""
    outputs, inputs = _dicts(node.get("outputs")), _dicts(node.get("inputs"))
    if slot >= len(outputs):
        return None
    wanted = outputs[slot].get("type")
    beside = inputs[slot : slot + 1]
    for one in (*beside, *inputs):
        if one.get("type") == wanted or "*" in (one.get("type"), wanted):
            link: int | str | None = one.get("link")
            return link
    return None


def _next_widget(schema: NodeSchema, given: Mapping[str, Any]) -> InputSchema | None:
    """The first widget without a value; a choice that was given brings its own widgets."""
    for one in live_inputs(schema, given):
        declared = one.declared
        is_shown = declared.section is not Section.HIDDEN and not declared.config.get("forceInput")
        if is_shown and declared.type in _WIDGETS and declared.id not in given:
            return declared
    return None


def _wrapped(value: Any) -> Any:
    """A list would be taken for a link."""
    return {LITERAL_KEY: value} if isinstance(value, list) else value


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _get(document: Mapping[str, Any], *path: str) -> Any:
    found: Any = document
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
