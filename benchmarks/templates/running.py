"""Submit a graph to a server, and say how it ended."""

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WAIT_S = 0.1


@dataclass(frozen=True)
class Ending:
    """``files``: how many files came out. ``reason``: why it did not run, in one line; empty if it did."""

    files: int
    seconds: float
    reason: str = ""


def upload(url: str, name: str, content: bytes) -> None:
    """As an input of this name; a file of the name is replaced."""
    folder, _, base = name.rpartition("/")
    mark = uuid.uuid4().hex
    head = f'--{mark}\r\nContent-Disposition: form-data; name="{{}}"{{}}\r\n\r\n'
    parts = head.format("image", f'; filename="{base}"').encode() + content + b"\r\n"
    for field, value in (("overwrite", "true"), ("subfolder", folder)):
        parts += (head.format(field, "") + value + "\r\n").encode()
    request = urllib.request.Request(f"{url}/api/upload/image", parts + f"--{mark}--\r\n".encode())
    request.add_header("Content-Type", f"multipart/form-data; boundary={mark}")
    urllib.request.urlopen(request, timeout=60).read()


def wait_for_models(url: str, root: Path, *, limit_s: float = 120.0) -> None:
    """Until the server lists every file below the root: it looks for new ones from time to time."""
    waiting = {(path.relative_to(root).parts[0], path.name) for path in root.rglob("*.*") if path.suffix != ".json"}
    start = time.perf_counter()
    while waiting and time.perf_counter() - start < limit_s:
        for folder in {folder for folder, _ in waiting}:
            listed = {str(one["name"]).rpartition("/")[2] for one in _send(f"{url}/api/experiment/models/{folder}")}
            waiting = {(place, name) for place, name in waiting if place != folder or name not in listed}
        time.sleep(1)
    if waiting:
        print(f"not listed by the server: {sorted(waiting)}")


def run(url: str, graph: Mapping[str, Any], *, limit_s: float) -> Ending:
    """Submit and wait. A job that takes longer than ``limit_s`` is cancelled."""
    start = time.perf_counter()
    try:
        job = _send(f"{url}/api/prompt", {"prompt": graph, "client_id": "templates"})["prompt_id"]
    except urllib.error.HTTPError as error:
        return Ending(0, 0.0, _refusal(json.loads(error.read())))
    while time.perf_counter() - start < limit_s:
        shown = _send(f"{url}/api/jobs/{job}")
        if shown["status"] == "completed":
            return _ended(shown, time.perf_counter() - start)
        if shown["status"] in ("failed", "cancelled"):
            error = shown.get("execution_error") or {}
            where = error.get("node_type") or "?"
            what = " ".join((error.get("exception_message") or shown["status"]).split())
            return Ending(0, time.perf_counter() - start, f"{where}: {what}")
        time.sleep(WAIT_S)
    _send(f"{url}/api/jobs/{job}/cancel", {})
    return Ending(0, limit_s, f"not finished after {limit_s:.0f} s")


def _ended(shown: Mapping[str, Any], seconds: float) -> Ending:
    files = 0
    for output in (shown.get("outputs") or {}).values():
        for entries in output.values():
            if isinstance(entries, list):
                files += sum(isinstance(one, dict) and "filename" in one for one in entries)
                files += sum(isinstance(one, str) for one in entries)
    return Ending(files, seconds, "" if files else "completed without a file or a text")


def _refusal(answer: Mapping[str, Any]) -> str:
    for found in (answer.get("node_errors") or {}).values():
        for error in found.get("errors", ()):
            return f"{found.get('class_type')}: {error.get('message')}: {error.get('details')}"
    error = answer.get("error")
    return str(error.get("message") if isinstance(error, dict) else error or answer)


def _send(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"null")
