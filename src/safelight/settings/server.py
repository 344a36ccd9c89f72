"""Where the server listens, what it serves, and which pages and proxies it trusts."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal

from safelight.settings.declare import doc

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The server"""

    host: Annotated[str, doc("Address to listen on. Beyond loopback it needs accounts, `accounts` or `insecure`.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, doc("Port to listen on; 0 takes a free one.", ge=0, le=65535)] = 8188
    data_dir: Annotated[
        Path, doc("Folder of everything that the server writes: the database, blobs, staging folders and caches.")
    ] = Path("data")
    public_url: Annotated[
        str, doc("Address at which users reach the server behind a proxy: `https://pictures.example.org`.")
    ] = ""
    allowed_hosts: Annotated[
        tuple[str, ...],
        doc("Host names by which clients may call the server, besides its addresses and `public_url`; `*`: any."),
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...],
        doc(
            "Origins (`https://app.example.org`) whose pages may call the API with keys and show files; `*` is refused."
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...], doc("Addresses or networks of proxies whose `X-Forwarded-*` headers are trusted.")
    ] = ("127.0.0.1", "::1")
    web: Annotated[bool, doc("Serve the ComfyUI web UI.")] = True
    example_input: Annotated[bool, doc("Add `example.png` to the inputs of new users.")] = True
    job_status_dialect: Annotated[
        Literal["contract", "cloud"],
        doc("`cloud`: answer `/api/job/{id}/status` with Comfy Cloud's own states (`success`)."),
    ] = "contract"

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def proxy_networks(self) -> Sequence[Network]:
        """Raises :class:`ValueError`."""
        return [ip_network(text) for text in self.trusted_proxies]
