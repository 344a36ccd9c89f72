"""A real server whose engines have test nodes only, a client for it, and a trigger that records state changes."""

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from pysqlite3 import dbapi2
from tests.cli.server import Server, launch

from safelight.dispatch.backends.process import engine_below

PACKS = (Path(__file__).parent / "packs", Path(__file__).parents[1] / "dispatch" / "packs")
PATIENCE_S = 180.0
"""Far more than anything here takes, so that tests do not fail on a loaded machine."""
POLL_S = 0.01
TERMINAL = ("completed", "failed", "cancelled")

STANDIN = Path(__file__).parents[1] / "comfyui" / "standin"
COMFYUI_PACKS = Path(__file__).parent / "comfyui_packs"
"""The same nodes as ComfyUI's packs have them."""

_WITNESS = """
CREATE TABLE IF NOT EXISTS witness (seq INTEGER PRIMARY KEY, id TEXT, was TEXT, state TEXT, attempt INTEGER);
CREATE TRIGGER IF NOT EXISTS witness_of_state AFTER UPDATE OF state ON job WHEN old.state <> new.state
BEGIN INSERT INTO witness (id, was, state, attempt) VALUES (new.id, old.state, new.state, new.attempt); END;
"""
"""The database itself records each change of a job's state, in the same transaction."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


def comfyui(folder: Path) -> dict[str, str]:
    """The settings of a server whose only engine is a ComfyUI: the stand-in, or the one that
    ``SAFELIGHT_TEST_COMFYUI`` names."""
    place = os.environ.get("SAFELIGHT_TEST_COMFYUI", f"{STANDIN}:{sys.executable}")
    python = os.environ.get("SAFELIGHT_TEST_COMFYUI_PYTHON")
    paths = folder / "test_packs.yaml"
    paths.write_text(json.dumps({"test": {"custom_nodes": str(COMFYUI_PACKS)}}))
    return {
        "SAFELIGHT_ENGINES": f"comfyui={place}:{python}" if python and ":" not in place else f"comfyui={place}",
        "SAFELIGHT_ENGINE_ARGUMENTS": f"comfyui=--extra-model-paths-config {paths}",
        "SAFELIGHT_WORKER_READABLE": f"{COMFYUI_PACKS},{paths}",
        "SAFELIGHT_DEVICES": "cpu",
    }


@dataclass
class Site:
    """Mutable: the current server. ``database``: by default in ``folder``."""

    folder: Path
    workers: int = 2
    environment: dict[str, str] = field(default_factory=dict)
    database: Path | None = None
    server: Server | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None and self.server is not None:
            status = self.server.process.poll()
            error.add_note(f"the server's status: {status}; its last lines:\n{''.join(self.server.lines[-30:])}")
        self.kill()

    def start(self) -> Self:
        packs = os.pathsep.join(map(str, PACKS))
        variables = {"SAFELIGHT_NODE_PACKAGES": "", "SAFELIGHT_CUSTOM_NODES": packs, "SAFELIGHT_WEB": "false"}
        variables["SAFELIGHT_WORKER_WRITABLE"] = str(self.folder)  # where test nodes write their markers
        if self.database is not None:
            variables["SAFELIGHT_DATABASE_URL"] = f"sqlite:///{self.database}"
        options = ("--workers", str(self.workers))
        self.server = launch(self.folder, *options, environment=variables | self.environment)
        with closing(self.connect()) as conn:
            conn.executescript(_WITNESS)
        return self

    def kill(self) -> None:
        """``kill -9`` of the server; its engines die with it."""
        if self.server is not None:
            engines = self.engines()
            self.server.stop(signal.SIGKILL)
            self.server = None
            wait_for(lambda: not any(is_alive(pid) for pid in engines))

    @property
    def pid(self) -> int:
        assert self.server is not None
        return self.server.process.pid

    def engines(self) -> list[int]:
        """Process ids of the engines, running or starting."""
        return sorted(engine_below(keeper) or keeper for keeper in self.keepers())

    def keepers(self) -> list[int]:
        """Process ids of the engines' keepers, the server's own children."""
        children = [Path(f"/proc/{self.pid}/task") / task / "children" for task in _tasks(self.pid)]
        return sorted({int(pid) for file in children if file.exists() for pid in file.read_text().split()})

    def request(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """``body``: bytes as they are, anything else as JSON. Raises :class:`OSError` or
        :class:`http.client.HTTPException` if the server is gone."""
        assert self.server is not None
        address = urlsplit(self.server.url)
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, sent, {"content-type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()})
        finally:
            connection.close()

    def submit(self, prompt: Mapping[str, Any], **words: Any) -> str:
        answer = self.request("POST", "/api/prompt", {"prompt": prompt, **words})
        assert answer.status == 200, (answer.status, answer.body)
        return str(answer.json["prompt_id"])

    def cancel(self, job_id: str) -> bool:
        return bool(self.request("POST", f"/api/jobs/{job_id}/cancel").json["cancelled"])

    def upload(self, name: str, content: bytes) -> Answer:
        return self.request("POST", "/api/upload/image", form(name, content), headers={"content-type": FORM_TYPE})

    def view(self, name: str, *, folder: str) -> Answer:
        return self.request("GET", f"/api/view?filename={quote(name)}&type={folder}")

    def job(self, job_id: str) -> Any:
        return self.request("GET", f"/api/jobs/{job_id}").json

    def end(self, job_id: str) -> Any:
        """Wait for the end of a job."""
        wait_for(lambda: self.job(job_id)["status"] in TERMINAL)
        return self.job(job_id)

    def running(self, job_id: str) -> None:
        wait_for(lambda: self.rows("SELECT state FROM job WHERE id = ?", job_id) == [("running",)])

    def connect(self) -> Any:
        return dbapi2.connect(self.database or self.folder / "safelight.db", isolation_level=None, timeout=20)

    def rows(self, sql: str, *arguments: object) -> list[Any]:
        """Query the database directly."""
        with closing(self.connect()) as conn:
            return list(conn.execute(sql, arguments))


_BOUNDARY = "----fault"
FORM_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"


def form(name: str, content: bytes) -> bytes:
    head = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()


def wait_for(condition: Any) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "timed out"
        time.sleep(POLL_S)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []
