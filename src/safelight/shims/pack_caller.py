"""For whom a node pack's code runs outside jobs: which pack is being imported, and whose request its handler serves."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

importing_pack: ContextVar[str] = ContextVar("importing_pack", default="")
"""The name of the pack's folder; empty while no pack is imported."""

send_to_caller: ContextVar[Callable[[str, Any, str], None] | None] = ContextVar("send_to_caller", default=None)
"""Sends a message to the caller of a route: name, data, and the id of a socket or an empty text for all of theirs."""
