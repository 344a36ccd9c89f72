"""One catalogue of nodes from those of several engine kinds, for clients that show all nodes.

A node that several kinds have is declared as by the first of them. Its combos also offer what only the others have: a
model file in a folder of theirs, a sampler of a newer version. Which kind can run a prompt is decided when the prompt
is submitted.
"""

from collections.abc import Sequence
from dataclasses import replace

from safelight.core.node import Catalogue, InputSchema, NodeSchema


def union(catalogues: Sequence[Catalogue]) -> Catalogue:
    """The nodes of all ``catalogues``, of which the first is preferred."""
    if len(catalogues) == 1:
        return catalogues[0]
    nodes: dict[str, NodeSchema] = {}
    for catalogue in catalogues:
        for name, node in catalogue.items():
            nodes[name] = _with_options_of(nodes[name], node) if name in nodes else node
    return nodes


def _with_options_of(preferred: NodeSchema, other: NodeSchema) -> NodeSchema:
    inputs = tuple(_united(declared, other.input(declared.id)) for declared in preferred.inputs)
    return preferred if inputs == preferred.inputs else replace(preferred, inputs=inputs)


def _united(preferred: InputSchema, other: InputSchema | None) -> InputSchema:
    own, others = preferred.options, other.options if other is not None else None
    if own is None or others is None or preferred.config.get("remote"):
        return preferred
    new = [option for option in others if option not in own]
    return replace(preferred, config={**preferred.config, "options": [*own, *new]}) if new else preferred
