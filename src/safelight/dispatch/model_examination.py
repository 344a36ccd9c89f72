"""Which model files an engine cannot load: asked of an engine, which reads their headers, and remembered."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from safelight.core.worker import SlotId
from safelight.dispatch.backend import Backend
from safelight.wire.correlator import Correlator
from safelight.wire.messages import ExamineModels, ModelsExamined, ModelToExamine

ANSWER_S = 5.0
"""Longest wait of a submit. What an engine cannot tell in time, the run of the job will."""
_MOST_REMEMBERED = 4096


class ExaminedFile(NamedTuple):
    """A model file as it was: another file of that path is examined again."""

    folder: str
    path: str
    size: int
    changed_ns: int


class _EngineLost(Exception):
    """The engine ended without an answer."""


class ModelExamination:
    """Mutable: the requests without an answer, and why files cannot be loaded. Used on the event loop's thread only."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._requests: Correlator[Mapping[str, str]] = Correlator(first_id=secrets.randbits(48))
        self._known: OrderedDict[ExaminedFile, str] = OrderedDict()  # empty: it can be loaded

    async def examine(self, slot: SlotId, files: Sequence[ExaminedFile]) -> Mapping[str, str]:
        """By path, why the slot's engine cannot load a file; files of which it does not tell in time are left out."""
        if new := [file for file in files if file not in self._known]:
            reasons = await self._ask(slot, new)
            if reasons is not None:
                self._known.update((file, reasons.get(file.path, "")) for file in new)
        found = {file.path: reason for file in files if (reason := self._known.get(file))}
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _ask(self, slot: SlotId, files: Sequence[ExaminedFile]) -> Mapping[str, str] | None:
        with self._requests.request(slot) as request:
            wanted = [ModelToExamine(file.folder, file.path) for file in files]
            self._backend.send(slot, ExamineModels(request_id=request.id, files=wanted))
            try:
                return await asyncio.wait_for(asyncio.wrap_future(request.answer), ANSWER_S)
            except (TimeoutError, _EngineLost):
                return None

    def answered(self, message: ModelsExamined) -> None:
        self._requests.answer(message.request_id, message.unusable)

    def lost(self, slot: SlotId) -> None:
        """The slot's engine has ended."""
        self._requests.fail(_EngineLost, scope=slot)
