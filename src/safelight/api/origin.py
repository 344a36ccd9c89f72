"""Which web pages may talk to the server: those that it served itself.

A browser sends ``Origin`` with every cross-site request that could change something and with every WebSocket, so a
request whose ``Origin`` is another host or port is refused; a program sends none. A server on loopback without
accounts also looks at ``Host``: a page whose name was rebound to 127.0.0.1 has a matching ``Origin`` (HTTP-6).
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from safelight.core.errors import Forbidden

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class ForeignOrigin(Forbidden):
    code = "foreign_origin"


def check_origin(headers: Headers, *, scheme: str, only_loopback: bool) -> None:
    """Raises :class:`ForeignOrigin`. ``only_loopback``: the server has no accounts and listens on loopback."""
    host = headers.get("host", "")
    if only_loopback and host and not is_loopback_host(host):
        raise ForeignOrigin(
            f"This server has no accounts and answers on loopback only, not as {host!r} (see the setting 'insecure')"
        )
    origin = headers.get("origin")
    if origin is not None and not _is_same_host(origin, host, scheme):
        raise ForeignOrigin(f"A page of {origin!r} may not use {host!r}")


def is_loopback_host(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _is_same_host(origin: str, host: str, scheme: str) -> bool:
    """The scheme of ``Origin`` is not compared: a proxy that ends TLS changes it and keeps the host."""
    try:
        page, server = urlsplit(origin), urlsplit(f"//{host}")
        page_port = page.port or _DEFAULT_PORTS.get(page.scheme)
        server_port = server.port or _DEFAULT_PORTS.get(page.scheme) or _DEFAULT_PORTS.get(scheme)
    except ValueError:
        return False
    return page.hostname is not None and page.hostname == server.hostname and page_port == server_port
