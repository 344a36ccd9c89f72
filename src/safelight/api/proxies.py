"""What a reverse proxy says of the client whose request it passes on; believed only of proxies that the operator names.

``X-Forwarded-For``, ``-Proto`` and ``-Host`` of anybody else are what a stranger typed: they are taken away, so that
nothing below can read them by mistake.
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

    def seen(self, scope: Scope) -> Scope:
        """The scope as the client's own request would have made it: its address, its scheme, the host that it named."""
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
        """From the nearest on, the first address that is no proxy of ours: those beyond it are the client's word."""
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
    """An IPv4 address that came over an IPv6 socket is that IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _last(lines: Sequence[str]) -> str:
    return ",".join(lines).rpartition(",")[2].strip()
