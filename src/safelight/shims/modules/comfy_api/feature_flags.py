"""What clients announce about themselves. Their sockets are the server's, so a worker knows of none; frames are
converted by the server for each socket."""

from collections.abc import Mapping
from typing import Any

SERVER_FEATURE_FLAGS: dict[str, Any] = {"supports_preview_metadata": True}


def get_connection_feature(
    sockets_metadata: Mapping[str, Mapping[str, Any]], sid: str | None, feature_name: str, default: Any = False
) -> Any:
    """Return what the socket ``sid`` has announced, else ``default``."""
    return sockets_metadata.get(sid or "", {}).get("feature_flags", {}).get(feature_name, default)


def supports_feature(sockets_metadata: Mapping[str, Mapping[str, Any]], sid: str | None, feature_name: str) -> bool:
    return get_connection_feature(sockets_metadata, sid, feature_name) is True


def get_server_features() -> dict[str, Any]:
    return dict(SERVER_FEATURE_FLAGS)
