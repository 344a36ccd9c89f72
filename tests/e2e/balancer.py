"""A plain TCP balancer: each connection goes to the next server that accepts it."""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress


class Balancer:
    """Mutable: ``backends`` may change while it runs. Made by :meth:`start`."""

    def __init__(self, backends: Sequence[tuple[str, int]]) -> None:
        self.backends = list(backends)
        self._turn = itertools.count()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await self._connect()
        if behind is not None:
            ways = [asyncio.create_task(_pass(reader, behind[1])), asyncio.create_task(_pass(behind[0], writer))]
            with suppress(asyncio.CancelledError):
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            behind[1].close()
        writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        backends = self.backends
        for _ in backends:
            with suppress(OSError):
                return await asyncio.open_connection(*backends[next(self._turn) % len(backends)])
        return None


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
