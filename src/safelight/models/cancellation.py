"""Cancel a job inside a network: between the blocks of a large one, a cancelled job ends within a second, not after a
step of minutes."""

from typing import Any

from torch import nn

from safelight.sdk.context import current


def stop_between_blocks(module: nn.Module) -> None:
    """Before each member of a list of modules runs, raise :class:`safelight.sdk.context.Cancelled` if the job of the
    running call was cancelled."""
    for part in module.modules():
        if isinstance(part, nn.ModuleList):
            for block in part:
                block.register_forward_pre_hook(_check)


def _check(*of_call: Any) -> None:
    try:
        run = current()
    except RuntimeError:  # outside of a job
        return
    run.raise_if_cancelled()
