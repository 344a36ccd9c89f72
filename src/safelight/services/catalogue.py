"""The nodes that can run here: what the engines of each kind declare, with the options of model combos filled in.

A job runs on one engine, so its prompt is validated against the catalogue of one kind. Clients see one catalogue of all
kinds (``core/node_union.py``). The catalogues are in memory; the rows (``services/node.py``) let a restarted server
answer before its workers are ready.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.errors import Unavailable
from safelight.core.node import Catalogue, InputSchema, NodeSchema
from safelight.core.node_union import union
from safelight.services.model import ModelFile, ModelFiles

WAIT_S = 30.0
"""How long a request waits for the first worker to declare its nodes."""


class LiveCatalogue:
    """Mutable: the latest declarations of each engine kind, and the last filled catalogues. ``version`` changes with
    the declarations and with the model files."""

    def __init__(
        self, models: ModelFiles, engines: Sequence[EngineKind] = (OWN,), *, only_own: Path | None = None
    ) -> None:
        """``engines``: the kinds of this server, the preferred first. ``only_own``: a root of models that engines of
        other kinds do not see."""
        self.engines = tuple(engines)
        self._only_own = only_own
        self._models = models
        self._declared: dict[EngineKind, Mapping[str, NodeSchema]] = {}
        self._digests: dict[EngineKind, str] = {}
        self._filled: tuple[str, Mapping[EngineKind, Catalogue], Catalogue] = ("", {}, {})
        self._changed = asyncio.Event()

    def digest(self, engine: EngineKind) -> str:
        """Of the latest declarations of that kind; empty if there are none."""
        return self._digests.get(engine, "")

    @property
    def version(self) -> str:
        return f"{'-'.join(map(self.digest, self.engines))}-{self._models.version}"

    @property
    def current(self) -> Catalogue:
        """The nodes of all engine kinds."""
        return self._current()[1]

    def of(self, engine: EngineKind) -> Catalogue:
        """The nodes of one kind; empty before its first worker is ready."""
        return self._current()[0].get(engine, {})

    def engines_with(self, node: str) -> Sequence[EngineKind]:
        """The kinds that have the node, the preferred first."""
        return [engine for engine in self.engines if node in self._declared.get(engine, {})]

    def models_of(self, engine: EngineKind, prompt: Mapping[str, Any]) -> Sequence[ModelFile]:
        """The model files that a valid prompt names in the inputs of an engine's loaders."""
        declared = self._declared.get(engine, {})
        found: dict[str, ModelFile] = {}
        for call in prompt.values():
            node = declared.get(call["class_type"])
            for one in node.inputs if node is not None else ():
                folder, name = one.config.get("model_folder"), call.get("inputs", {}).get(one.id)
                if folder is None or not isinstance(name, str):
                    continue
                if (file := self._models.find_in(folder, name)) is not None:
                    found[str(file.path)] = file
        return list(found.values())

    def publish(self, engine: EngineKind, nodes: Sequence[NodeSchema], *, digest: str) -> None:
        """Replace the declarations of one kind: by those of a worker that is ready, or by the stored ones of an earlier
        worker. Those of a kind that this server does not have are ignored."""
        if engine not in self.engines:
            return
        self._declared[engine] = {node.name: node for node in nodes}
        self._digests[engine] = digest
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def is_known(self) -> bool:
        """Whether the nodes of any kind are known."""
        return bool(self._declared)

    @property
    def unknown(self) -> Sequence[EngineKind]:
        """The kinds of which no worker has declared its nodes yet."""
        return [engine for engine in self.engines if engine not in self._declared]

    async def wait_known(self, engine: EngineKind | None = None, timeout_s: float = WAIT_S) -> None:
        """Wait until the nodes of that kind are known, or those of any kind: on a server's first start there are none
        before a worker is ready. Raises :class:`Unavailable` after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (engine in self._declared if engine else self._declared):
                    await self._changed.wait()
        except TimeoutError:
            if engine is None:
                raise Unavailable("no worker has started yet, so no node is known; try again in a moment") from None
            raise Unavailable(
                f"no worker of the engine {engine!r} has started yet, so its nodes are not known; try again in a moment"
            ) from None

    def _current(self) -> tuple[Mapping[EngineKind, Catalogue], Catalogue]:
        version = self.version
        if self._filled[0] != version:
            filled = {
                engine: {
                    name: _fill(node, self._models, outside=None if engine == OWN else self._only_own)
                    for name, node in self._declared[engine].items()
                }
                for engine in self.engines
                if engine in self._declared
            }
            self._filled = (version, filled, union(list(filled.values())))
        return self._filled[1], self._filled[2]


def _fill(node: NodeSchema, models: ModelFiles, *, outside: Path | None) -> NodeSchema:
    if not any("model_folder" in i.config for i in node.inputs):
        return node
    return replace(node, inputs=tuple(_fill_input(i, models, outside) for i in node.inputs))


def _fill_input(declared: InputSchema, models: ModelFiles, outside: Path | None) -> InputSchema:
    folder = declared.config.get("model_folder")
    if folder is None:
        return declared
    config = {k: v for k, v in declared.config.items() if k != "model_folder"}
    own = config.get("options", ())
    listed = [name for name in models.choices(folder, outside=outside) if name not in own]
    return replace(declared, config=config | {"options": [*own, *listed]})
