"""HTTP requests to URLs that users chose. All of them go through here, and none may reach a private address.

Requests to hosts that the operator configured (an identity provider, an object store) do not.

Each connection is checked by the IP address that it is made to, so neither a literal address, nor a redirect, nor a
name that resolves differently the second time leads inside. Proxy settings and environment variables are ignored.
"""

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from safelight.core.errors import Invalid

if TYPE_CHECKING:
    import aiohttp

Address = IPv4Address | IPv6Address

MAX_REDIRECTS = 8
CONNECT_S = 15.0
SILENCE_S = 60.0
_NAT64 = ip_network("64:ff9b::/96")
_NOT_PUBLIC = (
    ip_network("64:ff9b:1::/48"),  # local-use NAT64 (RFC 8215): only the network knows what is behind it
    ip_network("fec0::/10"),  # site-local (RFC 3879), still routed by some
    ip_network("::/96"),  # IPv4-compatible (RFC 4291, 2.5.5.1): some systems connect to the IPv4 address inside
)
_REDIRECTS = (301, 302, 303, 307, 308)


class Blocked(OSError):
    """A connection to an address that is not public."""


def is_public(address: Address) -> bool:
    """Whether an address is on the public Internet. For an address that embeds another one, both are checked."""
    if isinstance(address, IPv6Address):
        if any(address in network for network in _NOT_PUBLIC):
            return False
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


class Egress:
    """Mutable: the HTTP session, made for the first request. ``is_allowed``: another rule, for tests."""

    def __init__(self, *, is_allowed: Callable[[Address], bool] = is_public) -> None:
        self._is_allowed = is_allowed
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def get(
        self, url: str, *, headers: Mapping[str, str], secrets: Callable[[str], Mapping[str, str]]
    ) -> "AsyncIterator[aiohttp.ClientResponse]":
        """The final response, after redirects. ``secrets``: returns headers for a host, sent to that host only.

        Raises :class:`Invalid` for an invalid or a forbidden URL, and what aiohttp raises.
        """
        for _ in range(MAX_REDIRECTS + 1):
            host = check_url(url)
            response = await self._request(url, {**headers, **secrets(host)})
            target = response.headers.get("location")
            if response.status not in _REDIRECTS or target is None:
                try:
                    yield response
                finally:
                    response.close()
                return
            response.close()
            url = urljoin(url, target)
        raise Invalid(f"more than {MAX_REDIRECTS} redirects")

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer, whose body is not read; redirects are not followed.

        Raises :class:`Invalid` for an invalid or a forbidden URL, and what aiohttp raises.
        """
        check_url(url)
        response = await self._request(url, headers, method="POST", body=body)
        response.close()
        return response.status

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _request(
        self, url: str, headers: Mapping[str, str], *, method: str = "GET", body: bytes | None = None
    ) -> "aiohttp.ClientResponse":
        import aiohttp  # imported at the first request: it is slow to load

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(socket_factory=self._socket, use_dns_cache=False),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        try:
            return await self._session.request(
                method, url, headers={"accept-encoding": "identity", **headers}, data=body, allow_redirects=False
            )
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, Blocked) or isinstance(error.__cause__, Blocked):
                raise Invalid("the URL does not lead to a public server") from None
            raise
        except aiohttp.InvalidURL:
            raise Invalid(f"{url!r} is not a valid URL") from None

    def _socket(self, found: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, where = found
        if not self._is_allowed(ip_address(str(where[0]).partition("%")[0])):
            raise Blocked(f"{where[0]} is not a public address")
        return socket.socket(family, kind, protocol)


class MirrorEgress(Egress):
    """An :class:`Egress` that may also reach the server of ``base``, a URL that the operator configured, at a private
    address."""

    def __init__(self, base: str, *, is_allowed: Callable[[Address], bool] = is_public) -> None:
        super().__init__(is_allowed=is_allowed)
        self._base = base.rstrip("/") + "/"
        self._mirror = Egress(is_allowed=lambda _: True)

    @asynccontextmanager
    async def get(
        self, url: str, *, headers: Mapping[str, str], secrets: Callable[[str], Mapping[str, str]]
    ) -> "AsyncIterator[aiohttp.ClientResponse]":
        chosen = self._mirror.get if url.startswith(self._base) else super().get
        async with chosen(url, headers=headers, secrets=secrets) as response:
            yield response

    async def close(self) -> None:
        await self._mirror.close()
        await super().close()


def check_url(url: str) -> str:
    """Return the host of an HTTP URL. Raises :class:`Invalid`."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Invalid(f"{url!r} is not a valid URL") from None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or len(url) > 8192:
        raise Invalid(f"{url!r} is not an http or https URL")
    if not url.isprintable() or " " in url:
        raise Invalid(f"{url!r} is not a valid URL")
    return host
