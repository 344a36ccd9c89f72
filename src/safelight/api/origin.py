"""By which names the server may be called, and which web pages may use it: those that it served itself.

A page of a stranger reaches the server through the browser of a user in two ways. It sends a request across sites: then
the browser adds ``Origin`` to all that could change something and to every WebSocket, and (on https and on loopback)
``Sec-Fetch-Site`` to all. Or its own name is made to point at the server (DNS rebinding): then all of these look right,
and only ``Host`` is a name that nobody gave to this server. A program sends neither header, and is not hindered.
"""

from ipaddress import ip_address
from socket import gethostname
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from safelight.api.auth import Authenticator
from safelight.core.errors import Forbidden
from safelight.settings import Settings

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_ANY = "*"
ALLOWED_PAGE = "safelight.allowed_page"
"""In a scope: the origin, one of the setting ``allowed_origins``, whose page asks (``api/cross_origin.py``)."""


class ForeignOrigin(Forbidden):
    code = "foreign_origin"


class ForeignHost(Forbidden):
    code = "foreign_host"


class Origins:
    """The check that stands before everything that the server answers."""

    def __init__(self, settings: Settings, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._is_loopback = settings.is_loopback and not settings.insecure
        self._public = urlsplit(settings.public_url)
        self._names = {name.lower() for name in settings.allowed_hosts}
        self._is_listed = bool(self._names or settings.public_url)
        if self._public.hostname:
            self._names.add(self._public.hostname)

    async def check(self, connection: HTTPConnection) -> None:
        """Raises :class:`ForeignHost` or :class:`ForeignOrigin`."""
        host = connection.headers.get("host", "")
        if host and not await self._is_ours(host):
            settings = "the settings 'allowed_hosts' and 'public_url'"
            raise ForeignHost(f"This server does not answer as {host!r} (see {settings})")
        self._check_page(connection, host)

    async def _is_ours(self, host: str) -> bool:
        """A server with accounts answers to every name, until names are listed: a rebound name brings no cookie."""
        if self._names & {_name_of(host), _ANY} or is_loopback_host(host):
            return True
        if await self._authenticator.is_open():
            return not self._is_loopback and _is_beyond_rebinding(host)
        return not self._is_listed or _is_beyond_rebinding(host)

    def _check_page(self, connection: HTTPConnection, host: str) -> None:
        if ALLOWED_PAGE in connection.scope:
            return
        headers, scheme = connection.headers, connection.scope["scheme"]
        if connection.scope["type"] == "http" and _is_visit(connection.scope["method"], headers):
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and not (self._is_public(origin) or is_same_host(origin, host, scheme)):
            raise ForeignOrigin(f"A page of {origin!r} may not use {host!r}")
        if origin is None and site not in ("same-origin", "none"):
            raise ForeignOrigin(f"A page of another origin ({site}) may not use {host!r}")

    def _is_public(self, origin: str) -> bool:
        """A browser writes an origin in one way: small letters, and no port that goes without saying."""
        return bool(self._public.netloc) and origin == f"{self._public.scheme}://{self._public.netloc}"


def is_loopback_host(host: str) -> bool:
    name = _name_of(host)
    return name == "localhost" or name.endswith(".localhost") or (_is_address(host) and ip_address(name).is_loopback)


def _is_visit(method: str, headers: Headers) -> bool:
    """A person follows a link or comes back from a sign-in proxy: a whole page is asked for, not part of another."""
    return (
        method in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _name_of(host: str) -> str:
    """Without the port; "" for what is no host."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(_name_of(host))
    except ValueError:
        return False
    return True


def _is_beyond_rebinding(host: str) -> bool:
    """Nobody else can say where an address or this machine's own name leads."""
    return _is_address(host) or _name_of(host) == gethostname().lower()


def is_same_host(origin: str, host: str, scheme: str) -> bool:
    """Whether a page of ``origin`` came from ``host``.

    The scheme of ``Origin`` is not compared: a proxy that ends TLS changes it and keeps the host."""
    try:
        page, server = urlsplit(origin), urlsplit(f"//{host}")
        page_port = page.port or _DEFAULT_PORTS.get(page.scheme)
        server_port = server.port or _DEFAULT_PORTS.get(page.scheme) or _DEFAULT_PORTS.get(scheme)
    except ValueError:
        return False
    return page.hostname is not None and page.hostname == server.hostname and page_port == server_port
