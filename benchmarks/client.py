"""A client of the Comfy API for benchmarks. Works with any server that implements it."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

Prompt = Mapping[str, Any]


def trivial(value: int) -> Prompt:
    """A prompt of two calls and no pictures; each new ``value`` misses the cache."""
    return {
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": value}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }


BACKTRACKS = "(a|a)+$"
"""Each further letter doubles the matching time, even in engines that optimise ``(a+)+``."""


def regex_bomb(letters: int) -> Prompt:
    """A prompt with a built-in node that holds the interpreter's lock for 2 ** ``letters`` steps."""
    return {
        "1": {
            "class_type": "RegexMatch",
            "inputs": {
                "string": "a" * letters + "b",
                "regex_pattern": BACKTRACKS,
                "case_insensitive": False,
                "multiline": False,
                "dotall": False,
            },
        },
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }


class Client:
    """One user's session: HTTP, and a socket that receives the progress of jobs. Open with :meth:`connect`."""

    def __init__(self, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, client_id: str) -> None:
        self.http = http
        self._socket = socket
        self.client_id = client_id
        self._ended: dict[str, float] = {}
        self._started: set[str] = set()
        self._changed = asyncio.Condition()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str) -> AsyncIterator[Self]:
        client_id = uuid.uuid4().hex
        connector = aiohttp.TCPConnector(limit=32)
        async with (
            aiohttp.ClientSession(
                url, connector=connector, auto_decompress=False, headers={"Accept-Encoding": "identity"}
            ) as http,
            http.ws_connect(f"/ws?clientId={client_id}", max_msg_size=0) as socket,
        ):
            client = cls(http, socket, client_id)
            try:
                yield client
            finally:
                client._listening.cancel()

    async def submit(self, prompt: Prompt) -> str:
        body = {"prompt": prompt, "client_id": self.client_id}
        async with self.http.post("/api/prompt", json=body) as answer:
            if answer.status != 200:
                raise RuntimeError(f"POST /api/prompt answered {answer.status}: {(await answer.text())[:300]}")
            return str((await answer.json())["prompt_id"])

    async def ended(self, job_id: str, *, timeout_s: float = 60) -> float:
        """Wait for the job's final message; return its time by ``time.perf_counter``."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: job_id in self._ended)
        return self._ended.pop(job_id)

    async def started(self, job_id: str, *, timeout_s: float = 60) -> None:
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: job_id in self._started)

    async def cancel(self, job_id: str) -> None:
        """Cancel through the contract's route, or ComfyUI's older one if that fails. Allows 120 s, because a server may
        be blocked."""
        timeout = aiohttp.ClientTimeout(total=120)
        async with self.http.post(f"/api/jobs/{job_id}/cancel", timeout=timeout) as answer:
            if answer.status < 300:
                return
        async with self.http.post("/api/interrupt", json={"prompt_id": job_id}, timeout=timeout):
            pass

    async def get(self, path: str, *, encodings: str = "identity") -> bytes:
        """Return the body as it was on the wire, without decompression."""
        headers = {"Accept-Encoding": encodings}
        async with self.http.get(path, headers=headers, timeout=aiohttp.ClientTimeout(total=120)) as answer:
            if answer.status != 200:
                raise RuntimeError(f"GET {path} answered {answer.status}")
            return await answer.content.read()

    async def _listen(self) -> None:
        async for frame in self._socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            now = time.perf_counter()
            message = json.loads(frame.data)
            if message["type"] != "executing":
                continue
            job_id, node = message["data"].get("prompt_id"), message["data"]["node"]
            async with self._changed:
                if node is None:
                    self._ended[job_id] = now
                else:
                    self._started.add(job_id)
                self._changed.notify_all()
