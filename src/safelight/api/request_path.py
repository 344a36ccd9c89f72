"""The path of a request below the prefix under which the server is mounted (``root_path``)."""

from starlette.types import Scope


def decoded_path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def raw_path(scope: Scope) -> bytes:
    """The path as it was sent, still percent-encoded, without the query (which some servers leave in ``raw_path``)."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].removeprefix(scope.get("root_path", "").encode())
