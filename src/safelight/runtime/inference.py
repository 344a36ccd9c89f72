"""torch without gradients. Does not import torch: a worker whose nodes do not use it never does."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any


def inference_mode() -> AbstractContextManager[Any]:
    """Return a context without gradients, for one call in this thread."""
    torch = sys.modules.get("torch")
    mode: AbstractContextManager[Any] = nullcontext() if torch is None else torch.inference_mode()
    return mode


def enter_inference_mode() -> None:
    """Disable gradients for the rest of this thread's life: coroutines that interleave in it cannot each enter and
    exit."""
    inference_mode().__enter__()
