"""The nodes that can run here: what workers declare, with the options of model combos filled in.

The catalogue is in memory; the rows (``services/node.py``) let a restarted server answer before its workers are ready.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from safelight.core.errors import Unavailable
from safelight.core.node import Catalogue, InputSchema, NodeSchema
from safelight.services.model import ModelFiles

WAIT_S = 30.0
"""How long a request waits for the first worker to declare its nodes."""


class LiveCatalogue:
    """Mutable: the latest declarations, and the last filled catalogue. ``version`` changes with the declarations and
    with the model files."""

    def __init__(self, models: ModelFiles) -> None:
        self._models = models
        self._declared: Mapping[str, NodeSchema] = {}
        self._digest = ""
        self._filled: tuple[str, Catalogue] = ("", {})
        self._ready = asyncio.Event()

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def version(self) -> str:
        return f"{self._digest}-{self._models.version}"

    @property
    def current(self) -> Catalogue:
        version = self.version
        if self._filled[0] != version:
            self._filled = (version, {name: _fill(node, self._models) for name, node in self._declared.items()})
        return self._filled[1]

    def publish(self, nodes: Sequence[NodeSchema], *, digest: str) -> None:
        """Replace the declarations: by those of a worker that is ready, or by the stored ones of an earlier worker."""
        self._declared = {node.name: node for node in nodes}
        self._digest = digest
        self._ready.set()

    @property
    def is_known(self) -> bool:
        return self._ready.is_set()

    async def wait_known(self, timeout_s: float = WAIT_S) -> None:
        """Wait until a catalogue is known: on a server's first start there is none before a worker is ready. Raises
        :class:`Unavailable` after ``timeout_s``."""
        try:
            await asyncio.wait_for(self._ready.wait(), timeout_s)
        except TimeoutError:
            raise Unavailable("no worker has started yet, so no node is known; try again in a moment") from None


def _fill(node: NodeSchema, models: ModelFiles) -> NodeSchema:
    if not any("model_folder" in i.config for i in node.inputs):
        return node
    return replace(node, inputs=tuple(_fill_input(i, models) for i in node.inputs))


def _fill_input(declared: InputSchema, models: ModelFiles) -> InputSchema:
    folder = declared.config.get("model_folder")
    if folder is None:
        return declared
    config = {k: v for k, v in declared.config.items() if k != "model_folder"}
    return replace(declared, config=config | {"options": [*config.get("options", ()), *models.choices(folder)]})
