"""What a reverse proxy reports about the client whose request it forwards; trusted only from the operator's proxies.

``X-Forwarded-For``, ``-Proto`` and ``-Host`` of anybody else are unverified: they are removed, so that no other module
can read them by mistake.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from safelight.settings import Network

_FORWARDED = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"forwarded")
_SCHEMES = {"http": "ws", "https": "wss"}


class Proxies:
    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted

    def client_scope(self, scope: Scope) -> Scope:
        """Return the scope of the client's own request: with the client's address, scheme and host."""
        headers = Headers(scope=scope)
        kept = [(name, value) for name, value in scope["headers"] if name not in _FORWARDED]
        client = scope.get("client")
        if client is None or not self._trusts(client[0]):
            return {**scope, "headers": kept} if len(kept) < len(scope["headers"]) else scope
        changed = {**scope, "headers": kept}
        if address := self._client_behind(headers.getlist("x-forwarded-for")):
            changed["client"] = (address, 0)
        scheme = _last(headers.getlist("x-forwarded-proto")).lower()
        if scheme in _SCHEMES:
            changed["scheme"] = _SCHEMES[scheme] if scope["type"] == "websocket" else scheme
        if host := _last(headers.getlist("x-forwarded-host")):
            changed["headers"] = [(n, v) for n, v in kept if n != b"host"] + [(b"host", host.encode("latin-1"))]
        return changed

    def _client_behind(self, lines: Sequence[str]) -> str:
        """The nearest address that is not a trusted proxy: addresses beyond it are the client's unverified claim."""
        farthest = ""
        for text in reversed(",".join(lines).split(",")):
            if _parse(text.strip()) is None:
                break
            farthest = text.strip()
            if not self._trusts(farthest):
                break
        return farthest

    def _trusts(self, address: str) -> bool:
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._trusted)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address; an IPv4-mapped IPv6 address becomes the IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _last(lines: Sequence[str]) -> str:
    return ",".join(lines).rpartition(",")[2].strip()
