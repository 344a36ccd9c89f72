"""How a pack asks for a name of a module: by importing it, by using it, or by testing for it.

``from comfy.sd import VAE`` must not fail, because the rest of the pack may work without it; ``hasattr(nodes, "X")``
must tell the truth, because the pack then takes another way. Python calls the module's ``__getattr__`` in both cases.
What differs is the instruction that the caller executes: an import, an attribute access, or a call of ``hasattr``.
"""

import dis
import enum
import sys
from types import FrameType

_OURS = "safelight.shims"
IMPORT_SYSTEM = "importlib._bootstrap"


class Asked(enum.Enum):
    """``IMPORT``: ``from module import name``. ``USE``: ``module.name``. ``TEST``: ``hasattr(module, "name")``, or
    ``getattr``."""

    IMPORT = "import"
    USE = "use"
    TEST = "test"


def asked() -> tuple[Asked, str]:
    """Return how the pack asks for the name that is being looked up, and the name of its module."""
    frame = _caller()
    module = str(frame.f_globals.get("__name__", "?"))
    if module == IMPORT_SYSTEM:
        return Asked.IMPORT, module
    operation = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    if operation == "IMPORT_FROM":
        return Asked.IMPORT, module
    return (Asked.USE if operation.startswith("LOAD_") else Asked.TEST), module


def _caller() -> FrameType:
    """The frame of the code outside the shims that looks the name up."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith(_OURS):
        frame = frame.f_back
    assert frame is not None
    return frame
