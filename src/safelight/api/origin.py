"""Which host names the server answers to, and which web pages may use it: those that it served itself.

A foreign page can reach the server through a user's browser in two ways. It can send a request across sites: then the
browser adds ``Origin`` to every request that could change something and to every WebSocket, and (on https and on
loopback) ``Sec-Fetch-Site`` to all requests. Or the page's own host name resolves to the server (DNS rebinding): then
these headers look right, and only ``Host`` is not a name of this server. Programs send neither header and are not
affected.
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
"""Key in a scope: the origin of the requesting page, one of the setting ``allowed_origins``
(``api/cross_origin.py``)."""


class ForeignOrigin(Forbidden):
    code = "foreign_origin"


class ForeignHost(Forbidden):
    code = "foreign_host"


class Origins:
    """The check that every request and socket passes first."""

    def __init__(self, settings: Settings, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._is_loopback = settings.server.is_loopback and not settings.access.insecure
        self._public = urlsplit(settings.server.public_url)
        self._names = {name.lower() for name in settings.server.allowed_hosts}
        self._is_listed = bool(self._names or settings.server.public_url)
        if self._public.hostname:
            self._names.add(self._public.hostname)

    async def check(self, connection: HTTPConnection) -> None:
        """Raises :class:`ForeignHost` or :class:`ForeignOrigin`."""
        host = connection.headers.get("host", "")
        if host and not await self._is_ours(host):
            settings = "the settings 'allowed_hosts' and 'public_url'"
            raise ForeignHost(f"this server does not answer as {host!r} (see {settings})")
        self._check_page(connection, host)

    async def _is_ours(self, host: str) -> bool:
        """A server with accounts answers to every name, unless names are listed: browsers send no cookie to a rebound
        name."""
        if self._names & {_name_of(host), _ANY} or is_loopback_host(host):
            return True
        if await self._authenticator.is_open():
            return not self._is_loopback and _is_beyond_rebinding(host)
        return not self._is_listed or _is_beyond_rebinding(host)

    def _check_page(self, connection: HTTPConnection, host: str) -> None:
        if ALLOWED_PAGE in connection.scope:
            return
        headers, scheme = connection.headers, connection.scope["scheme"]
        if connection.scope["type"] == "http" and _is_navigation(connection.scope["method"], headers):
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and not (self._is_public(origin) or is_same_host(origin, host, scheme)):
            raise ForeignOrigin(f"a page of {origin!r} must not use {host!r}")
        if origin is None and site not in ("same-origin", "none"):
            raise ForeignOrigin(f"a page of another origin ({site}) must not use {host!r}")

    def _is_public(self, origin: str) -> bool:
        """Browsers write an origin in one form: lower case, without the default port."""
        return bool(self._public.netloc) and origin == f"{self._public.scheme}://{self._public.netloc}"


def is_loopback_host(host: str) -> bool:
    name = _name_of(host)
    return name == "localhost" or name.endswith(".localhost") or (_is_address(host) and ip_address(name).is_loopback)


def _is_navigation(method: str, headers: Headers) -> bool:
    """Whether a person follows a link or returns from a sign-in proxy: the browser loads a whole page."""
    return (
        method in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _name_of(host: str) -> str:
    """The host without its port; "" for an invalid host."""
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
    """Whether nobody else controls what the host resolves to: it is an IP address or this machine's own name."""
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
