"""The agent: a node pack inside ComfyUI through which this process is an engine of a Safelight server.

It replaces three things of ComfyUI's ``PromptServer``, and nothing of its nodes: ``start_multi_address``, so that the
application listens on a Unix socket and on no TCP port; ``send_sync``, so that events become messages; and
``task_done`` of its queue, so that the end of a prompt is known at once. Messages are those of ``wire/messages.py``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import catalogue, device, job_folders, model_combos, pack_routes, packs, printed_lines, validation
from .codec import CorruptFrameError, Decoder, plain
from .digest_client import DigestClient
from .job_folders import FOLDERS, JobFolders
from .job_runner import JobRunner
from .lease import Lease, end_group
from .outbox import Outbox
from .pack_routes import PackRoutes
from .surfaces import Surfaces

_CHUNK = 256 * 1024


@dataclass(frozen=True)
class Start:
    """What the launcher tells the agent (``comfyui_engine/launch.py``). ``folder``: this slot's own; ``socket``: where
    the application listens. ``model_folders``: those of which the server lists the files."""

    pipe: int
    digests: int
    lease_s: float
    folder: str
    socket: str
    unkept_rules: tuple[str, ...]
    hidden_paths: tuple[tuple[str, str], ...]
    model_folders: tuple[str, ...] = ()


class Agent:
    """Mutable: the engine's end of the pipe, once ComfyUI has started its server."""

    def __init__(self, start: Start, surfaces: Surfaces) -> None:
        self._start = start
        self._surfaces = surfaces
        self._pipe = _inherited(start.pipe)
        self._lease = Lease(start.lease_s, self._pipe, end=end_group)
        self._outbox = Outbox(self._pipe.sendall)
        self._lines: list[list[Any]] = []
        self._lines_lock = threading.Lock()
        self._jobs: JobRunner | None = None
        self._routes = PackRoutes(surfaces.server.app, packs.folders(surfaces), left_out=Path(__file__).parent)
        self._tasks: set[asyncio.Task[None]] = set()
        surfaces.server.start_multi_address = self._start_server
        surfaces.server.send_sync = self._send
        for name in ("send", "send_json", "send_bytes"):
            setattr(surfaces.server, name, self._send_async)

    # -- ComfyUI --

    async def _start_server(self, addresses: Any, *arguments: Any, **options: Any) -> None:
        """Instead of listening on ``addresses``: ComfyUI is ready."""
        try:
            await self._serve(addresses)
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    async def _serve(self, addresses: Any) -> None:
        surfaces, server = self._surfaces, self._surfaces.server
        for name, value in zip(("address", "port"), next(iter(addresses), ("127.0.0.1", 8188)), strict=False):
            if not hasattr(server, name):
                setattr(server, name, value)  # packs read them
        await pack_routes.serve(server.app, self._start.socket)
        await self._routes.open(self._start.socket)
        tops = {name: Path(getattr(surfaces.folder_paths, f"get_{name}_directory")()) for name in FOLDERS}
        job_folders.follow_context(surfaces.folder_paths)
        folders = JobFolders(tops)
        folders.clear()
        self._jobs = JobRunner(
            surfaces,
            outbox=self._outbox,
            folders=folders,
            digests=DigestClient(_inherited(self._start.digests)),
            finish_lines=self._finish_lines,
            hidden_paths=[
                *((str(folder), "custom_nodes") for folder in packs.folders(surfaces)),
                *((path, shown) for path, shown in self._start.hidden_paths),
            ],
        )
        infos = await self._routes.get("/object_info")
        with model_combos.marked_lists(surfaces.folder_paths, self._start.model_folders) as listed:
            marked = await self._routes.get("/object_info")
        combos = model_combos.combos_of(marked, listed)
        nodes = list(catalogue.schemas(infos, surfaces.nodes.NODE_CLASS_MAPPINGS, combos))
        self._finish_streams = printed_lines.redirect(self._printed)
        self._outbox.post(
            {
                "type": "Ready",
                "info": device.describe(surfaces, []),
                "nodes": nodes,
                "failed_packs": packs.failed(surfaces),
                "web_directories": packs.web_directories(surfaces),
                "routes": list(self._routes.routes()),
                "unkept_rules": list(self._start.unkept_rules),
                "lacks": surfaces.lacks,
            }
        )
        threading.Thread(target=self._read, name="safelight-reader", daemon=True).start()
        threading.Thread(target=self._run_jobs, name="safelight-jobs", daemon=True).start()
        self._lease.renew()
        self._lease.start()

    def _send(self, event: Any, data: Any, sid: str | None = None) -> None:
        """What ComfyUI or a node sends to web clients. Never raises: this is the middle of ComfyUI's own work."""
        try:
            number = pack_routes.request_id.get()
            events = self._jobs.events if self._jobs is not None else None
            if number is not None and isinstance(event, str):
                client = sid if isinstance(sid, str) else ""
                message = {"request_id": number, "name": event, "data": plain(data), "client_id": client}
                self._outbox.post({"type": "PackMessage", **message})
            elif events is not None:
                events.received(event, data)
        except OSError as error:
            end_group(f"the server is gone: {error}")
        except Exception:
            traceback.print_exc()

    async def _send_async(self, event: Any, data: Any, sid: str | None = None) -> None:
        self._send(event, data, sid)

    # -- the server --

    def _run_jobs(self) -> None:
        assert self._jobs is not None
        self._jobs.serve()
        self._finish_lines()
        os._exit(0)

    def _read(self) -> None:
        try:
            decoder = Decoder()
            while data := self._pipe.recv(_CHUNK):
                for message in decoder.feed(data):
                    self._lease.renew()
                    self._received(message)
        except (OSError, CorruptFrameError, KeyError) as error:
            end_group(f"the pipe cannot be read: {error}")
        end_group("the server closed the pipe")

    def _received(self, message: Mapping[str, Any]) -> None:
        assert self._jobs is not None
        kind = message["type"]
        if kind == "Ping":
            info = device.describe(self._surfaces, self._jobs.warm_models.names)
            pong = {"type": "Pong", "sequence": message["sequence"], "info": info, "rss": device.resident_bytes()}
            self._outbox.post(pong)
        elif kind == "RunJob":
            self._jobs.run(message)
        elif kind == "CancelJob":
            self._jobs.cancel((message["job_id"], message["attempt"]))
        elif kind in ("NamesReserved", "FilesChecked"):
            self._jobs.answer(message)
        elif kind == "ValidateInputs":
            self._spawn(self._validate(message))
        elif kind == "PackRequest":
            self._spawn(self._routes.answer(message, self._outbox.post))
        elif kind == "FreeMemory":
            flags = {name: bool(message.get(name, False)) for name in ("unload_models", "free_memory")}
            self._jobs.free(**flags)
        elif kind == "Stop":
            self._jobs.stop()

    async def _validate(self, message: Mapping[str, Any]) -> None:
        found: dict[str, str | None] = {}
        try:
            found = await validation.violations(self._surfaces, message, Path(self._start.folder, "validation"))
        except Exception:  # the same exception fails the job when it runs, and is reported then
            traceback.print_exc()
        self._outbox.post({"type": "InputsValidated", "request_id": message["request_id"], "violations": found})

    def _spawn(self, work: Any) -> None:
        """Run a coroutine where ComfyUI serves requests."""

        def start() -> None:
            task = asyncio.ensure_future(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._surfaces.server.loop.call_soon_threadsafe(start)

    # -- printed lines --

    def _printed(self, at_ms: int, line: str) -> None:
        with self._lines_lock:
            self._lines.append([at_ms, line])
        self._outbox.report("log", self._take_lines)

    def _take_lines(self) -> list[dict[str, Any]]:
        with self._lines_lock:
            lines, self._lines = self._lines, []
        job = self._jobs.running if self._jobs is not None else None
        return [{"type": "LogLines", "lines": lines, "job_id": None if job is None else job.id}] if lines else []

    def _finish_lines(self) -> None:
        self._finish_streams()
        for message in self._take_lines():
            self._outbox.post(message)


def _inherited(number: int) -> socket.socket:
    """A socket of the launcher's, which programs that a node starts must not hold open."""
    os.set_inheritable(number, False)
    return socket.socket(fileno=number)
