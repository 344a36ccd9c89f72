"""Node packs as an operator sees them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PREFIX = "custom_nodes."
"""Of ``NodeSchema.module`` for a node of a pack."""


@dataclass(frozen=True, slots=True)
class PackStatus:
    """``nodes``: the number that can be run; ``failures``: what could not be loaded (the pack, a node), and why."""

    name: str
    nodes: int
    failures: Mapping[str, str]


def pack_statuses(modules: Iterable[str], failures: Mapping[str, str]) -> list[PackStatus]:
    """By name. ``modules``: of all nodes; ``failures``: by ``pack`` or ``pack: part``."""
    nodes: dict[str, int] = {}
    for module in modules:
        if module.startswith(PREFIX):
            name = module.removeprefix(PREFIX)
            nodes[name] = nodes.get(name, 0) + 1
    failed: dict[str, dict[str, str]] = {}
    for subject, reason in failures.items():
        failed.setdefault(subject.partition(":")[0], {})[subject] = reason
    return [PackStatus(name, nodes.get(name, 0), failed.get(name, {})) for name in sorted({*nodes, *failed})]


def reason_for_users(reason: str) -> str:
    """A failure as users read it, who cannot do anything about it: without the paths and details of the error."""
    if library := re.search(r"No module named '([\w.-]+)'", reason):
        return f"the library {library[1]!r} is not installed"
    if "ComfyUI" in reason and reason.startswith("NotSupported: "):
        return reason.removeprefix("NotSupported: ")
    return "an error, which administrators see"
