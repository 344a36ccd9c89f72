"""Clients that send prompts of 200,000 file names, and disconnect while they are validated."""

import json
import random
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults.engines import job
from tests.faults.ledger import Ledger
from tests.faults.site import Site, wait_for

CLIENTS = 3
NAMES = 200_000
FLOOD_S = 3.0
LONGEST_S = 10.0
"""Maximum time of a response to another client, on a busy machine. ``benchmarks.flood`` measures it."""


def floods(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    with Site(folder, environment={"SAFELIGHT_NODE_PACKAGES": "safelight.nodes"}) as site:  # LoadImage names files
        site.start()
        site.end(site.submit(job("before")))
        stop = threading.Event()
        refused: list[int] = []
        threads = [
            threading.Thread(target=_flood, args=(site, _body(kind), stop, refused, ledger))
            for kind in ("digests", "folders", "nodes")
        ]
        threads += [
            threading.Thread(target=_hang_up, args=(site, _body("digests"), stop, rng.uniform(0.01, 0.2), ledger))
        ]
        for thread in threads:
            thread.start()
        longest = 0.0
        until = time.monotonic() + FLOOD_S
        while time.monotonic() < until or len(refused) < CLIENTS:
            for path in ("/health", "/api/jobs?limit=20"):
                begun = time.monotonic()
                assert site.request("GET", path).status == 200
                longest = max(longest, time.monotonic() - begun)
        stop.set()
        for thread in threads:
            thread.join()
        assert longest < LONGEST_S, f"another client waited {longest:.1f} s"
        assert set(refused) == {400}
        assert site.end(site.submit(job("after")))["status"] == "completed"
        wait_for(lambda: _cpu_share(site) < 0.5)


def _body(kind: str) -> bytes:
    if kind == "nodes":
        node = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
        return json.dumps({"prompt": {str(number): node for number in range(NAMES // 2)}}).encode()
    names = [f"{n:064x}.png" if kind == "digests" else f"folder{n}/a.png" for n in range(NAMES)]
    load = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
    return json.dumps({"prompt": {"1": load, "2": load | {"inputs": {"image": names}}}}).encode()


def _flood(site: Site, body: bytes, stop: threading.Event, refused: list[int], ledger: Ledger) -> None:
    while not stop.is_set():
        refused.append(site.request("POST", "/api/prompt", body).status)
        ledger.injected("a prompt of 200,000 names, or of 100,000 nodes")


def _hang_up(site: Site, body: bytes, stop: threading.Event, after_s: float, ledger: Ledger) -> None:
    assert site.server is not None
    address = urlsplit(site.server.url)
    head = f"POST /api/prompt HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    while not stop.is_set():
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(head + body)
            time.sleep(after_s)
        ledger.injected("a client that hangs up during its prompt")


def _cpu_share(site: Site) -> float:
    """Return the share of one core that the server's process uses over half a second."""
    before, begun = _cpu_s(site.pid), time.monotonic()
    time.sleep(0.5)
    return (_cpu_s(site.pid) - before) / (time.monotonic() - begun)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
