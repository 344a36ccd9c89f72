"""The nodes' own checks of their inputs (``VALIDATE_INPUTS``, ``validate_inputs``), before a job runs.

The server validates a prompt by its schemas and never imports a node; these checks run where the nodes are.
"""

import contextvars
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from safelight.core.event import NodeCall
from safelight.graph.calls import CallGraph
from safelight.graph.plan import order
from safelight.runtime import failure
from safelight.runtime.background import BackgroundLoop
from safelight.runtime.bound_call import BoundCall
from safelight.runtime.call_context import CallContext
from safelight.runtime.packs import Library
from safelight.runtime.running_job import RunningJob
from safelight.shims.validated_files import validating
from safelight.worker.context import WorkerContext


@dataclass(frozen=True)
class Violation:
    """A node rejects its inputs ``names``; ``reason`` is ``None`` if it gives none."""

    call_id: str
    node_type: str
    names: Sequence[str]
    reason: str | None

    def __str__(self) -> str:
        words = f" - {self.reason}" if self.reason else ""
        return f"Custom validation failed for node: {', '.join(self.names)}{words}"


@dataclass(frozen=True)
class InputValidation:
    """Runs the checks of the nodes of ``graph``. Hidden values and V1 objects are not available to them."""

    graph: CallGraph
    library: Library
    job: RunningJob
    worker: WorkerContext
    background: BackgroundLoop

    def violations(self, targets: Sequence[str]) -> Iterator[Violation]:
        """Yield the violations of the nodes that the targets depend on, sources first."""
        files = {name: file.path for name, file in self.job.message.files.items()}
        for call_id in order(list(targets), self.graph.sources).calls:
            if self.graph.schema(call_id).has_validator:
                with validating(files):
                    violation = self._check(call_id)
                if violation is not None:
                    yield violation

    def _check(self, call_id: str) -> Violation | None:
        schema, inputs = self.graph.schema(call_id), self.graph.inputs(call_id)
        takes_all = "*" in schema.validated_inputs
        names = [n for n in (*inputs.literals, *inputs.links) if takes_all or n in schema.validated_inputs]
        arguments: dict[str, Any] = {name: inputs.literals.get(name) for name in names}
        if schema.validates_types:
            arguments["input_types"] = {
                n: self._type_of(link.call_id, link.output_index) for n, link in inputs.links.items()
            }
        try:
            given = self._bind(self.graph.call(call_id), schema.name).validate(arguments)
            if not isinstance(given, list):
                given = self.background.submit(given, contextvars.copy_context()).result()
        except Exception as error:
            if any(name in inputs.links for name in names):
                return None  # it cannot check a value that does not exist yet
            return Violation(call_id, schema.name, names, f"{failure.type_name(error)}: {error}")
        if given[0] is True:
            return None
        return Violation(call_id, schema.name, names, given[0] if isinstance(given[0], str) else None)

    def _bind(self, call: NodeCall, node_name: str) -> BoundCall:
        context = CallContext(self.job, call, self.worker)
        return BoundCall(self.library.nodes[node_name], self.library.catalogue[node_name], call, context, hidden={})

    def _type_of(self, call_id: str, output_index: int) -> str:
        outputs = self.graph.schema(call_id).outputs
        return outputs[output_index].type if 0 <= output_index < len(outputs) else "*"
