"""Validation in a worker: the ``VALIDATE_INPUTS`` of a prompt's nodes, before the prompt is accepted."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from safelight.core.ids import UserId
from safelight.core.worker import SlotId
from safelight.dispatch.backend import Backend
from safelight.wire.correlator import Correlator
from safelight.wire.messages import FileRef, InputsValidated, ValidateInputs

ANSWER_S = 5.0
"""Longest wait of a submit. A node may keep the engine busy for longer; its inputs are then validated by the run."""

Violations = Mapping[str, str | None]
"""By call id, why its node rejects its inputs; ``None`` for a rejection without a reason."""


class _EngineLost(Exception):
    """The engine ended without an answer."""


class RemoteValidation:
    """Mutable: the requests without an answer. Used on the event loop's thread only."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._requests: Correlator[Violations] = Correlator(first_id=secrets.randbits(48))

    async def validate(
        self,
        slot: SlotId,
        *,
        owner_id: UserId,
        prompt: Mapping[str, Any],
        targets: Sequence[str],
        files: Mapping[str, FileRef],
    ) -> Violations:
        """The violations that the slot's engine finds; none where it does not answer in time, or is lost."""
        with self._requests.request(slot) as request:
            message = ValidateInputs(
                request_id=request.id,
                owner_id=owner_id,
                prompt=dict(prompt),
                targets=list(targets),
                files=dict(files),
            )
            self._backend.send(slot, message)
            try:
                return await asyncio.wait_for(asyncio.wrap_future(request.answer), ANSWER_S)
            except (TimeoutError, _EngineLost):
                return {}

    def answered(self, message: InputsValidated) -> None:
        self._requests.answer(message.request_id, message.violations)

    def lost(self, slot: SlotId) -> None:
        """The slot's engine has ended."""
        self._requests.fail(_EngineLost, scope=slot)
