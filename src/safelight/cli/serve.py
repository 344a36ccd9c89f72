"""``safelight serve``: the server process: its listening socket, its start-up messages, its shutdown."""

import asyncio
import errno
import logging
import os
import signal
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click
import uvicorn

from safelight import settings as sources
from safelight.api.comfy.socket import MAX_MESSAGE_BYTES
from safelight.api.slow_clients import http_with_header_limit
from safelight.app import App
from safelight.cli.console import err, out
from safelight.cli.metrics_listener import MetricsListener
from safelight.cli.options import given, server_options
from safelight.cli.quiet_server import QuietServer
from safelight.core.errors import SafelightError
from safelight.settings import Settings
from safelight.telemetry import log_format

SHUTDOWN_S = 5
"""How long open requests and WebSockets may take to end after SIGTERM or Ctrl-C."""

MAX_OPEN_FILES = 65_536


class CannotListen(SafelightError):
    """The server cannot listen on its address; the message names it and the reason."""


@click.command()
@server_options
def serve(config: Path | None, **options: Any) -> None:
    """Run the server with its web UI and workers, until Ctrl-C."""
    run(sources.load(overrides=given(options), config=config))


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises :class:`CannotListen`, and the error of any part that fails to start."""
    os.umask(0o077)  # files of users: no other account of the system may read them
    log_format.set_up(level=settings.telemetry.log_level, form=settings.telemetry.log_format)
    # At INFO uvicorn logs the URLs of WebSockets, which hold the keys of ``?token=``; at DEBUG all headers.
    for name in ("uvicorn", "uvicorn.error", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    _run(_serve(settings))


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run it on uvloop's event loop where that is installed, else on Python's own."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


async def _serve(settings: Settings) -> None:
    listener = _listen(settings.server.host, settings.server.port)
    metrics_address = settings.telemetry.metrics_address
    scraped = _listen(*metrics_address) if metrics_address else None
    metrics = None
    _allow_many_connections()
    app = await App.start(settings.changed(port=listener.getsockname()[1]))
    try:
        config = uvicorn.Config(
            app.asgi,
            http=http_with_header_limit(headers_s=settings.limits.slow_headers_s),
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_max_size=MAX_MESSAGE_BYTES,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,  # api/proxies.py reads them, only from the proxies that the settings name
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        if settings.access.insecure and not settings.server.is_loopback:
            err.print(
                f"[bold red]No accounts:[/] anybody who can reach {shown}:{port} can read, run and delete everything."
            )
        url = settings.server.public_url or f"http://{shown}:{port}"
        out.print(f"Safelight is at [bold]http://{shown}:{port}[/]  (data in {settings.server.data_dir.resolve()})")
        if app.setup_token is not None:
            out.print("There are no accounts yet. Create the first, an administrator, with this link; it works once:")
            out.print(f"  [bold]{url}/setup#{app.setup_token}[/]", soft_wrap=True)
        server = QuietServer(config)

        def shut_down() -> None:
            app.close_sockets()  # WebSockets never end by themselves; closed ones reconnect to the next server
            server.should_exit = True

        for signal_number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signal_number, shut_down)
        if scraped is not None:
            metrics = MetricsListener(scraped, render=app.metrics_text)
        await server.serve(sockets=[listener])
    finally:
        if metrics is not None:
            await metrics.stop()
        await app.stop()
        listener.close()


def _allow_many_connections() -> None:
    """Raise the limit of open files, which is 1,024 on most systems: each connection is one."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything starts, so that an address in use is reported early and without side effects."""
    try:
        [family, kind, protocol, _, address] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
        listener.setblocking(False)
    except socket.gaierror as error:
        raise CannotListen(f"{host} is not an address of this machine: {error.strerror}") from None
    except OSError as error:
        reason = "the address is in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
        raise CannotListen(f"cannot listen on {host}:{port}: {reason}") from None
    return listener
