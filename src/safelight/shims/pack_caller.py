"""For whom a node pack's code runs beside jobs: which pack is being imported, and whose request its handler answers."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

importing_pack: ContextVar[str] = ContextVar("importing", default="")
"""The pack, by the name of its folder."""

send_to_caller: ContextVar[Callable[[str, Any, str], None] | None] = ContextVar("telling", default=None)
"""Tells the caller of a route something: name, data, and the id of a socket or an empty text for all."""
