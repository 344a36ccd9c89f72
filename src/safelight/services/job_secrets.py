"""Keys for partner nodes in a job's extra data. They are held in memory while the job runs, never stored in a row."""

from collections.abc import Mapping
from typing import Any

SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")
"""The names of such keys in ``extra_data``."""

REDACTED = "[REDACTED]"


def secrets_in(extra_data: Mapping[str, Any]) -> dict[str, str]:
    """The keys that a client sent. Only the server that has the workers holds them."""
    values = {name: extra_data.get(name) for name in SECRETS}
    return {name: value for name, value in values.items() if isinstance(value, str) and value not in ("", REDACTED)}


def redacted(extra_data: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which each key shows only that it was sent."""
    return {name: REDACTED if name in SECRETS and value else value for name, value in extra_data.items()}
