"""Requests of the tests to a server process."""

import json
import time
import urllib.request
from typing import Any


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=180) as answer:
        return json.load(answer)


def post(url: str, body: Any) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=180) as answer:
        return json.load(answer)


def submit(url: str, value: str) -> str:
    """Submit a job of two small nodes, and return its id."""
    prompt = {
        "1": {"class_type": "PrimitiveString", "inputs": {"value": value}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    job_id: str = post(f"{url}/api/prompt", {"prompt": prompt})["prompt_id"]
    return job_id


def upload(url: str, filename: str, data: bytes) -> None:
    """Upload an input file."""
    head = f'--frontier\r\ncontent-disposition: form-data; name="image"; filename="{filename}"\r\n\r\n'
    body = head.encode() + data + b"\r\n--frontier--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=frontier"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/upload/image", body, headers), timeout=180):
        pass


def wait_for_all(url: str, count: int, *, limit_s: float = 60) -> list[dict[str, Any]]:
    deadline = time.monotonic() + limit_s
    while True:
        listed = get(f"{url}/api/jobs?status=completed,failed,cancelled&limit=100")
        if listed["pagination"]["total"] >= count:
            return list(listed["jobs"])
        assert time.monotonic() < deadline, listed
        time.sleep(0.05)  # leave CPU to the engine that starts, on as few as two cores
