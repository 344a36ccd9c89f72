"""What this process remembers of the outputs that users may see again from ComfyUI's cache.

A cached node shows its old output, which names files. Before a job may use such an output, the server is asked which of
those files its owner has deleted since; what names one of them runs again.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .job_folders import FileName

MAX_RESULTS = 4096

KeptFile = tuple[FileName, str]
"""A file of the owner's, and its digest."""


@dataclass
class _Result:
    files: Sequence[KeptFile] = ()
    unnamed: Sequence[FileName] = ()
    names: Mapping[FileName, FileName] = field(default_factory=dict)
    generation: int = 0


class KeptResults:
    """Mutable: the latest results, by owner and *ancestry*: a node with everything that it depends on."""

    def __init__(self) -> None:
        self._results: OrderedDict[tuple[str, str], _Result] = OrderedDict()

    def remember(
        self,
        owner_id: str,
        ancestry: str,
        files: Sequence[KeptFile],
        *,
        unnamed: Sequence[FileName],
        names: Mapping[FileName, FileName],
    ) -> None:
        """A node has run. ``unnamed``: files among them that its own output does not name. ``names``: by the names that
        ComfyUI's cache has for its files, those under which the owner finds them."""
        if not files and not names and (owner_id, ancestry) not in self._results:
            return
        result = self._results.setdefault((owner_id, ancestry), _Result())
        result.files, result.unnamed, result.names = files, unnamed, names
        self._results.move_to_end((owner_id, ancestry))
        while len(self._results) > MAX_RESULTS:
            self._results.popitem(last=False)

    def shown(self, owner_id: str, ancestry: str) -> tuple[Mapping[FileName, FileName], Sequence[FileName]]:
        """The names of the files of a cached node, and the files that it wrote and its output does not name."""
        result = self._results.get((owner_id, ancestry), _Result())
        return result.names, result.unnamed

    def check(
        self, owner_id: str, ancestries: Mapping[str, str], find_gone: Callable[[Sequence[KeptFile]], Iterable[int]]
    ) -> dict[str, int]:
        """The generations of the nodes of a job, by node id, after asking which files are gone. ``ancestries``: by
        node id."""
        known = {node_id: self._results.get((owner_id, ancestry)) for node_id, ancestry in ancestries.items()}
        asked = [(result, file) for result in known.values() if result is not None for file in result.files]
        for position in find_gone([file for _, file in asked]) if asked else ():
            result = asked[position][0]
            if result.files:
                result.generation += 1
                result.files, result.unnamed, result.names = (), (), {}
        return {node_id: result.generation for node_id, result in known.items() if result and result.generation}

    def clear(self) -> None:
        self._results.clear()


def ancestries(prompt: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, str]:
    """By node id, a digest of the node and everything that it depends on. ``digests``: of files, by the texts of the
    prompt that name them. Nodes of a cycle have none."""
    found: dict[str, str] = {}

    def visit(node_id: str, above: frozenset[str]) -> str | None:
        if node_id in found or node_id in above or node_id not in prompt:
            return found.get(node_id)
        node = prompt[node_id]
        inputs = {}
        for name, value in sorted(node.get("inputs", {}).items()):
            if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
                inputs[name] = [visit(value[0], above | {node_id}), value[1]]
            else:
                inputs[name] = [value, digests.get(value) if isinstance(value, str) else None]
        text = json.dumps([node.get("class_type"), inputs], sort_keys=True, default=str)
        found[node_id] = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        return found[node_id]

    for node_id in prompt:
        try:
            visit(node_id, frozenset())
        except RecursionError:
            continue
    return found
