"""What operators see of a server: logs and metrics."""

from dataclasses import dataclass
from typing import Annotated, Literal

from safelight.settings.declare import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Logs and metrics"""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], doc("Lowest level of the messages that are logged.")
    ] = "info"
    log_format: Annotated[
        Literal["console", "json"], doc("`json`: one JSON object per line, with the fields of [logs.md](logs.md).")
    ] = "console"
    access_log: Annotated[bool, doc("Log each request of the API, without its query.")] = False
    metrics_listen: Annotated[
        str,
        doc(
            "Address and port of a listener of its own for `/metrics`, without credentials: `127.0.0.1:9464`. "
            "See [metrics.md](metrics.md)."
        ),
    ] = ""
    metrics_token: Annotated[
        str, doc("Bearer token with which a scraper may read `/metrics` at the server's own port.")
    ] = ""

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Host and port of the listener; ``None`` without one. Raises :class:`ValueError`."""
        if not self.metrics_listen:
            return None
        host, separator, port = self.metrics_listen.rpartition(":")
        if not (separator and host and port.isdecimal() and int(port) < 65536):
            raise ValueError(f"{self.metrics_listen!r} is not like 127.0.0.1:9464")
        return host.strip("[]"), int(port)
