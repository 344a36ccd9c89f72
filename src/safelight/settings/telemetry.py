"""What operators see of a server: logs, metrics and traces."""

from dataclasses import dataclass
from typing import Annotated, Literal

from safelight.settings.declare import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Logs, metrics and traces"""

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

    traces_endpoint: Annotated[
        str,
        doc(
            "Where OpenTelemetry traces are sent, by OTLP over HTTP: `http://127.0.0.1:4318/v1/traces`; empty: "
            "nowhere. See [traces.md](traces.md)."
        ),
    ] = ""
    traces_ratio: Annotated[
        float, doc("Of the traces that begin at this server, how many are sent (0 to 1).", ge=0, le=1)
    ] = 1.0

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Host and port of the listener; ``None`` without one. Raises :class:`ValueError`."""
        if not self.metrics_listen:
            return None
        host, separator, port = self.metrics_listen.rpartition(":")
        if not (separator and host and port.isdecimal() and int(port) < 65536):
            raise ValueError(f"{self.metrics_listen!r} is not like 127.0.0.1:9464")
        return host.strip("[]"), int(port)
