"""Keys of what a call costs: equal for calls that take about as long, whatever their texts and seeds are.

The key of a call covers its class, the values that change its work (numbers, options, names of models), and the keys of
its sources: a sampler's time depends on the size of the latent that it receives. The key of a graph covers its outputs.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from safelight.core.node import Catalogue, NodeSchema
from safelight.graph.literals import names_file
from safelight.graph.plan import order
from safelight.graph.prompt_format import as_link

_SEEDS = ("seed", "noise_seed")


def cost_keys(prompt: Mapping[str, Any], catalogue: Catalogue, targets: Sequence[str]) -> dict[str, str]:
    """The key of each call that the targets depend on, and under ``""`` the key of the graph."""

    def sources(call: str) -> list[str]:
        links = (as_link(value) for value in _inputs(prompt, call).values())
        return [link.call_id for link in links if link is not None and link.call_id in prompt]

    keys: dict[str, str] = {}
    for call in order(list(targets), sources).calls:
        schema = catalogue.get(str(prompt[call].get("class_type")))
        plain, linked = [], []
        for name, value in sorted(_inputs(prompt, call).items()):
            link = as_link(value)
            if link is not None:
                linked.append([name, keys.get(link.call_id, ""), link.output_index])
            elif _counts(schema, name, value):
                plain.append([name, value])
        keys[call] = _digest([prompt[call].get("class_type"), plain, linked])
    return keys | {"": _digest(sorted(keys[target] for target in targets if target in keys))}


def class_key(prompt: Mapping[str, Any], call: str) -> str:
    """The key of all calls of the same class."""
    return f"class:{prompt[call].get('class_type')}"[:80]


def _inputs(prompt: Mapping[str, Any], call: str) -> Mapping[str, Any]:
    return prompt[call].get("inputs") or {}


def _counts(schema: NodeSchema | None, name: str, value: Any) -> bool:
    if name in _SEEDS:
        return False
    declared = schema.input(name) if schema is not None else None
    if declared is None:
        return isinstance(value, int | float)
    return declared.type != "STRING" and not names_file(declared)


def _digest(value: Any) -> str:
    return blake2b(json.dumps(value, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()
