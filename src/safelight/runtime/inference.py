"""torch without gradients, where nodes use torch at all: a process whose nodes don't never imports it."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any


def inference_mode() -> AbstractContextManager[Any]:
    """For one call, in this thread."""
    torch = sys.modules.get("torch")
    mode: AbstractContextManager[Any] = nullcontext() if torch is None else torch.inference_mode()
    return mode


def enter_inference_mode() -> None:
    """For the rest of this thread's life: calls that take turns in it cannot each enter and leave."""
    inference_mode().__enter__()
