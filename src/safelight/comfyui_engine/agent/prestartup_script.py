"""ComfyUI runs this file before it imports node packs: from here on, the log says which of them cannot be imported."""

from __future__ import annotations

import logging
import os
import re

NAME = "safelight-failed-packs"
"""The name of the log handler, by which the agent finds it."""
_FAILED = re.compile(r"Cannot import (?P<path>.+) module for custom nodes: (?P<reason>.*)", re.DOTALL)


class FailedPacks(logging.Handler):
    """Mutable: ``reasons`` of packs that could not be imported, by the name of their folder or file."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.set_name(NAME)
        self.reasons: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if found := _FAILED.fullmatch(record.getMessage()):
            self.reasons[os.path.basename(found["path"])] = found["reason"]


if not any(handler.name == NAME for handler in logging.getLogger().handlers):
    logging.getLogger().addHandler(FailedPacks())
