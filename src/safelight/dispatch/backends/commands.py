"""Which program a slot starts: a command that speaks the messages of ``wire/``, chosen by the engine kind.

Every program reads one :class:`~safelight.wire.config.EngineConfig` from its pipe, confines itself by the rules in it,
and answers with ``Ready``. It may then execute another program, as the one for a ComfyUI does.
"""

import sys
from collections.abc import Callable, Sequence

from safelight.core.engine_kind import OWN
from safelight.wire.config import EngineConfig

_PYTHON = (sys.executable, "-P", "-u", "-X", "faulthandler", "-m")
"""``-P``: nothing is imported from the server's working directory. A crash prints its stack."""
OWN_ENGINE = "safelight.runtime.main"
COMFYUI_ENGINE = "safelight.comfyui_engine"

EngineCommand = Callable[[EngineConfig], Sequence[str]]


def engine_command(config: EngineConfig) -> Sequence[str]:
    """The command of an engine of ``config.kind``, without its arguments (see ``process.py``)."""
    return (*_PYTHON, OWN_ENGINE if config.kind == OWN else COMFYUI_ENGINE)
