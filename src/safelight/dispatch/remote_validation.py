"""Asking an engine what its nodes say of a prompt that is yet to be accepted."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from safelight.core.ids import UserId
from safelight.core.worker import SlotId
from safelight.dispatch.backend import Backend
from safelight.wire.messages import FileRef, InputsValidated, ValidateInputs

ANSWER_S = 5.0
"""How long a submit waits. A node may hold the engine for longer; then the nodes judge when the job runs."""

Violations = Mapping[str, str | None]


class RemoteValidation:
    """Mutable: the questions that are out, by number. Event loop's thread only."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._asked: dict[int, tuple[SlotId, asyncio.Future[Violations]]] = {}
        self._last = secrets.randbits(48)  # an engine may be yet to answer what another server asked

    async def ask(
        self,
        slot: SlotId,
        *,
        owner_id: UserId,
        prompt: Mapping[str, Any],
        targets: Sequence[str],
        files: Mapping[str, FileRef],
    ) -> Violations:
        """By call id why its node refuses; nothing where the engine does not answer in time, or is lost."""
        self._last += 1
        number, answer = self._last, asyncio.get_running_loop().create_future()
        self._asked[number] = (slot, answer)
        message = ValidateInputs(
            request_id=number, owner_id=owner_id, prompt=dict(prompt), targets=list(targets), files=dict(files)
        )
        self._backend.send(slot, message)
        try:
            return await asyncio.wait_for(answer, ANSWER_S)
        except TimeoutError:
            return {}
        finally:
            del self._asked[number]

    def answered(self, message: InputsValidated) -> None:
        _, answer = self._asked.get(message.request_id, (None, None))
        if answer is not None and not answer.done():
            answer.set_result(message.objections)

    def lost(self, slot: SlotId) -> None:
        for asked, answer in self._asked.values():
            if asked == slot and not answer.done():
                answer.set_result({})
