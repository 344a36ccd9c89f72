"""Validate a prompt: report all errors together, in ComfyUI's vocabulary, or return it with its literals converted.

An output runs if it and everything it depends on is valid; other outputs are dropped, and their errors are reported.
Errors are in the order of the node's inputs. Checks that only the node's own code can do are left to a
:class:`NodeValidator`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from safelight.core.node import ANY, Catalogue, InputSchema, NodeSchema, Section
from safelight.graph import literals, validation_errors
from safelight.graph.dynamic import LiveInputs
from safelight.graph.link_types import fits, output_type, template_id, wanted_type
from safelight.graph.literals import FileExists
from safelight.graph.plan import order
from safelight.graph.prompt_format import DEFAULT_LIMITS, LITERAL_KEY, Limits, PromptNode, as_link, literal, read_nodes
from safelight.graph.validation_errors import NodeError


@dataclass(frozen=True)
class ValidPrompt:
    """A prompt that can run. ``targets``: the outputs to make; ``node_errors``: why others were dropped."""

    prompt: dict[str, Any]
    targets: list[str]
    node_errors: dict[str, Any]


class NodeValidator(Protocol):
    """The node's own ``VALIDATE_INPUTS``. It runs in a worker, so the server validates once without it, sends the
    prompt to a worker, and validates again with the violations that the worker returned."""

    def __call__(
        self, node_id: str, schema: NodeSchema, arguments: Mapping[str, Any], received_types: Mapping[str, str]
    ) -> bool | str:
        """Return ``True``, or ``False`` or a reason to reject. ``arguments``: the literals that the node validates,
        converted."""
        ...


def validate(
    prompt: object,
    catalogue: Catalogue,
    *,
    targets: Sequence[str] | None = None,
    file_exists: FileExists | None = None,
    node_validator: NodeValidator | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> ValidPrompt:
    """Raises :class:`~safelight.core.errors.InvalidPrompt` when no output can run.

    ``targets`` selects the outputs (partial execution). Without ``file_exists``, names of files are not checked;
    without ``node_validator``, the node's own code is not called. The ranges that the node's code checks are skipped
    either way.
    """
    nodes = read_nodes(prompt, catalogue, limits=limits)
    wanted = None if targets is None else set(targets)
    outputs = [n.id for n in nodes.values() if n.schema.is_output and (wanted is None or n.id in wanted)]
    if not outputs:
        raise validation_errors.no_outputs()
    check = _Check(nodes, LiveInputs(catalogue), frozenset(outputs), file_exists, node_validator)
    found = order(outputs, check.sources)
    for call in found.calls:
        check.node(nodes[call])
    for cycle in found.cycles:
        error = validation_errors.cycle(cycle)
        for call in cycle:
            check.errors.setdefault(call, []).append(error)
    good = check.runnable(found.calls)
    node_errors = _describe(check, found.calls, outputs, limits)
    if not any(output in good for output in outputs):
        details = [validation_errors.line(e) for output in outputs for e in check.errors.get(output, ())]
        cycles = [validation_errors.line(validation_errors.cycle(cycle)) for cycle in found.cycles]
        raise validation_errors.outputs_failed(
            list(dict.fromkeys(details + cycles))[: limits.reported_nodes], node_errors
        )
    assert isinstance(prompt, Mapping)
    converted = {i: {**n, "inputs": check.converted[i]} if i in check.converted else n for i, n in prompt.items()}
    return ValidPrompt(converted, [o for o in outputs if o in good], node_errors)


def _describe(check: "_Check", calls: Sequence[str], outputs: Sequence[str], limits: Limits) -> dict[str, Any]:
    """Return each invalid node with its errors and the outputs that fail because of it."""
    bad = [call for call in calls if call in check.errors][: limits.reported_nodes]
    if not bad:
        return {}
    # One bit per output: sets of names would take memory of outputs times nodes in a large prompt.
    dependents = {output: 1 << position for position, output in enumerate(outputs)}
    for call in reversed(calls):
        mask = dependents.get(call, 0)
        for source in check.sources(call) if mask else ():
            dependents[source] = dependents.get(source, 0) | mask
    return {
        call: {
            "errors": check.errors[call],
            "dependent_outputs": _names(dependents.get(call, 0), outputs, limits.reported_outputs),
            "class_type": check.nodes[call].schema.name,
        }
        for call in bad
    }


def _names(mask: int, outputs: Sequence[str], limit: int) -> list[str]:
    names: list[str] = []
    while mask and len(names) < limit:
        lowest = mask & -mask
        names.append(outputs[lowest.bit_length() - 1])
        mask ^= lowest
    return names


@dataclass
class _Check:
    """One validation. Mutable: gathers errors, converted inputs and the types of outputs, sources before consumers."""

    nodes: Mapping[str, PromptNode]
    live: LiveInputs
    targets: frozenset[str]
    file_exists: FileExists | None
    node_validator: NodeValidator | None
    errors: dict[str, list[NodeError]] = field(default_factory=dict)
    converted: dict[str, dict[str, Any]] = field(default_factory=dict)
    _types: dict[str, list[str]] = field(default_factory=dict)
    _reached: dict[str, tuple[str, str]] = field(default_factory=dict)
    """How each node was first reached: the consumer and the name of its input."""

    def sources(self, call: str) -> list[str]:
        """Return the linked calls that exist, declared or not: an undeclared link is passed to the node, so its source
        runs."""
        found = []
        for name, value in (self.nodes[call].inputs or {}).items():
            link = as_link(value)
            if link is not None and link.call_id in self.nodes:
                found.append(link.call_id)
                self._reached.setdefault(link.call_id, (call, name))
        return found

    def runnable(self, calls: Sequence[str]) -> set[str]:
        good: set[str] = set()
        for call in calls:
            if call not in self.errors and all(source in good for source in self.sources(call)):
                good.add(call)
        return good

    def node(self, node: PromptNode) -> None:
        if node.inputs is None:
            self._types[node.id] = [ANY if o.match_template else o.type for o in node.schema.outputs]
            self.errors[node.id] = [self._exception(node, "KeyError", "'inputs'")]
            return
        errors: list[NodeError] = []
        inputs = dict(node.inputs)
        received: dict[str, str] = {}
        linked: list[tuple[str | None, str]] = []
        for item in self.live.of(node.schema.name, node.inputs):
            declared = item.declared
            if item.is_container:
                continue
            if declared.id not in inputs:
                if declared.section is Section.REQUIRED:
                    errors.append(validation_errors.missing(declared.id))
                continue
            value = inputs[declared.id]
            if isinstance(value, list):
                error = self._link(node, declared, value, received)
                if declared.id in received:
                    linked.append((template_id(declared), received[declared.id]))
            else:
                value = literal(value)
                error = self._literal(node.schema, declared, value, inputs)
            if error is not None:
                errors.append(error)
        self._types[node.id] = [output_type(output, linked) for output in node.schema.outputs]
        if not errors and self.node_validator is not None and node.schema.has_validator:
            errors = self._ask(node, inputs, received)
        if errors:
            self.errors[node.id] = errors
        if any(inputs[name] is not value for name, value in node.inputs.items()):
            self.converted[node.id] = inputs

    def _link(
        self, node: PromptNode, declared: InputSchema, value: list[Any], received: dict[str, str]
    ) -> NodeError | None:
        if len(value) != 2:
            return validation_errors.bad_link(node.schema, declared, value)
        call, output_index = value
        if not isinstance(call, str) or call not in self.nodes:
            return self._exception(node, "KeyError", repr(call))
        if type(output_index) is not int:
            words = f"tuple indices must be integers or slices, not {type(output_index).__name__}"
            return self._exception(node, "TypeError", words)
        if not 0 <= output_index < len(self.nodes[call].schema.outputs):
            return self._exception(node, "IndexError", "tuple index out of range")
        # Inside a cycle a source may not have been checked yet.
        kind = self._types[call][output_index] if call in self._types else ANY
        received[declared.id] = kind
        wanted = wanted_type(declared)
        if node.schema.validates_types or fits(kind, wanted):
            return None
        return validation_errors.type_mismatch(node.schema, declared, value, received=kind, wanted=wanted)

    def _literal(
        self, schema: NodeSchema, declared: InputSchema, value: Any, inputs: dict[str, Any]
    ) -> NodeError | None:
        value, error = literals.convert(schema, declared, value)
        error = error or literals.check_prefix(schema, declared, value)
        if error is not None:
            return error
        # A literal list stays wrapped: without the wrapper it would be read as a link.
        inputs[declared.id] = {LITERAL_KEY: value} if isinstance(value, list) else value
        if literals.names_file(declared):
            return None if self.file_exists is None else literals.check_file(declared, value, self.file_exists)
        if _is_checked_by_node(schema, declared.id):
            return None
        return literals.check_range(schema, declared, value)

    def _ask(self, node: PromptNode, inputs: Mapping[str, Any], received: Mapping[str, str]) -> list[NodeError]:
        assert self.node_validator is not None
        live = {item.declared.id for item in self.live.of(node.schema.name, inputs) if not item.is_container}
        arguments = {
            name: literal(value)
            for name, value in inputs.items()
            if name in live and not isinstance(value, list) and _is_checked_by_node(node.schema, name)
        }
        verdict = self.node_validator(node.id, node.schema, arguments, received)
        if verdict is True:
            return []
        reason = verdict if isinstance(verdict, str) else None
        return [validation_errors.custom(name, reason) for name in arguments] or [validation_errors.custom("", reason)]

    def _exception(self, node: PromptNode, kind: str, details: str) -> NodeError:
        if node.id in self.targets or node.id not in self._reached:
            return validation_errors.exception(kind, details)
        consumer_id, name = self._reached[node.id]
        consumer = self.nodes[consumer_id]
        inputs = consumer.inputs or {}
        live = self.live.of(consumer.schema.name, inputs)
        declared = next((item.declared for item in live if item.declared.id == name), None)
        return validation_errors.inner_exception(
            kind, details, schema=consumer.schema, declared=declared, link=inputs.get(name)
        )


def needs_worker(schema: NodeSchema) -> bool:
    """Return whether a worker must run the node's own checks. Checks of file names alone are done here."""
    if not schema.has_validator:
        return False
    if schema.validates_types or "*" in schema.validated_inputs:
        return True
    return any(i.id in schema.validated_inputs and not literals.names_file(i) for i in schema.inputs)


def _is_checked_by_node(schema: NodeSchema, name: str) -> bool:
    """Return whether the node's own code checks this input."""
    return schema.has_validator and ("*" in schema.validated_inputs or name in schema.validated_inputs)
