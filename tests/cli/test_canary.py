"""Credentials in a prompt: the node that requests one gets it, and it is nowhere else: not before, during or after the
job, nor after the server is killed."""

import hashlib
import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.server import Server, launch, wait_for_nodes
from websockets.sync.client import connect

PACK = '''
import hashlib


class Asks:
    """Prove that the node has the key, without showing it."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        hidden = {"key": "API_KEY_COMFY_ORG", "token": "AUTH_TOKEN_COMFY_ORG", "extra": "EXTRA_PNGINFO"}
        return {"required": {"fails": ("BOOLEAN", {"default": False})}, "hidden": hidden}

    def run(self, fails, key=None, token=None, extra=None):
        if fails:
            raise ValueError("it fails, with the key in its arguments")
        return {"ui": {"digests": [hashlib.sha256((key or "").encode()).hexdigest(), str(extra)]}, "result": ()}


NODE_CLASS_MAPPINGS = {"Asks": Asks}
'''
KEY, TOKEN = "comfyui-canary-8f3a1c77d2", "canary-token-51b0e9aa44"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    packs = tmp_path / "packs"
    packs.mkdir()
    (packs / "asks.py").write_text(PACK)
    started = launch(tmp_path / "data", "--custom-nodes", str(packs), "--log-level", "debug")
    try:
        wait_for_nodes(started.url)
        yield started
    finally:
        started.stop(signal.SIGKILL)


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=120) as answer:
        content: bytes = answer.read()
        return content


def submit(server: Server, prompt: Any) -> str:
    extra = {"api_key_comfy_org": KEY, "auth_token_comfy_org": TOKEN, "extra_pnginfo": {"workflow": {"nodes": []}}}
    answer = ask(f"{server.url}/api/prompt", {"prompt": prompt, "extra_data": extra, "client_id": "canary"})
    return str(json.loads(answer)["prompt_id"])


def test_credentials_reach_their_node_and_nothing_else(server: Server, tmp_path: Path) -> None:
    picture = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "canary"}},
        "3": {"class_type": "Asks", "inputs": {"fails": False}},
    }
    failing = {"3": {"class_type": "Asks", "inputs": {"fails": True}}}
    with connect(f"{server.url.replace('http', 'ws')}/ws?clientId=canary") as socket:
        jobs = [submit(server, picture), submit(server, failing), submit(server, picture)]
        received = []
        while sum(b"execution_success" in m or b"execution_error" in m for m in received) < len(jobs):
            message = socket.recv(timeout=120)
            received.append(message if isinstance(message, bytes) else message.encode())
    shown = [ask(f"{server.url}{path}") for path in ("/api/jobs", "/api/queue", "/api/history_v2", "/history")]
    shown += [ask(f"{server.url}/api/jobs/{job}") for job in jobs]
    shown += [
        ask(f"{server.url}/api/assets"),
        ask(f"{server.url}/internal/logs/raw"),
        ask(f"{server.url}/internal/logs"),
    ]
    [name] = {o["filename"] for o in json.loads(shown[4])["outputs"]["2"]["images"]}
    png: bytes = ask(f"{server.url}/api/view?type=output&filename={name}")
    assert hashlib.sha256(KEY.encode()).hexdigest().encode() in b"".join(shown), "the node has got the key"
    assert b"workflow" in png, "what is meant for the picture is in it"
    submit(server, picture)
    server.stop(signal.SIGKILL)
    files = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert any(path.name == "safelight.db" for path in files)
    for secret in (KEY.encode(), TOKEN.encode()):
        assert not any(secret in answer for answer in (*shown, *received, png))
        assert [path for path, content in files.items() if secret in content] == []
        assert not any(secret.decode() in line for line in server.lines)
