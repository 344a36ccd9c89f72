"""Faults of the server itself: killed while clients submit, upload and publish, with jobs that wait and run.

What was acknowledged with 2xx must be in the database after a restart, and must be carried out.
"""

import http.client
import itertools
import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from tests.faults.audit import audit, has_its_files, no_leftovers
from tests.faults.engines import job, texts
from tests.faults.ledger import Ledger
from tests.faults.site import FORM_TYPE, Answer, Site, form, wait_for

_GONE = (OSError, http.client.HTTPException)


@dataclass
class Answered:
    """Mutable: what was acknowledged with 2xx: job ids, bytes and share ids by name."""

    jobs: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    shares: dict[str, str] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)


def deaths(folder: Path, rng: random.Random, ledger: Ledger, *, kills: int) -> None:
    """``kill -9`` of the server and all engines under load; nothing that was acknowledged is missing afterwards."""
    answered = Answered()
    with Site(folder) as site:
        site.start()
        for turn in range(kills):
            site.end(site.submit(job(f"warm{turn}")))
            _traffic_until_killed(site, rng, answered, turn=turn)
            ledger.injected("kill -9 of the server under load")
            site.start()
            wait_for(lambda: site.rows("SELECT 1 FROM job WHERE state IN ('queued', 'running') LIMIT 1") == [])
        _is_kept(site, answered)
        attempts = {attempt for (attempt,) in site.rows("SELECT attempt FROM job")}
        assert attempts <= {1, 2}, "a job that ran when the server died runs once more"
        site.request("POST", "/api/history", {"delete": []})
        audit(site)


def _traffic_until_killed(site: Site, rng: random.Random, answered: Answered, *, turn: int) -> None:
    stop = threading.Event()
    clients = (_submit, _upload, _publish, _upload_half)
    threads = [
        threading.Thread(target=_until_gone, args=(client, site, answered, turn, random.Random(rng.random()), stop))
        for client in clients
    ]
    for thread in threads:
        thread.start()
    time.sleep(rng.uniform(0.1, 0.6))
    site.kill()
    stop.set()
    for thread in threads:
        thread.join()


_Client = Callable[[Site, Answered, str, random.Random], None]


def _until_gone(
    client: _Client, site: Site, answered: Answered, turn: int, rng: random.Random, stop: threading.Event
) -> None:
    for number in itertools.count():
        try:
            client(site, answered, f"{client.__name__.strip('_')}{turn}.{number}", rng)
        except (*_GONE, AssertionError):
            if stop.is_set() or site.server is None:
                return
            if not stop.wait(20):
                raise
            return


def _submit(site: Site, answered: Answered, name: str, rng: random.Random) -> None:
    answered.jobs[name] = site.submit(job(name))


def _upload(site: Site, answered: Answered, name: str, rng: random.Random) -> None:
    content = rng.randbytes(rng.choice((10, 1000, 200_000)))
    answer = site.upload(f"{name}.bin", content)
    if answer.is_success:
        answered.uploads[answer.json["name"]] = content


def _upload_half(site: Site, answered: Answered, name: str, rng: random.Random) -> None:
    """An upload that is in progress when the server dies; it is never acknowledged."""
    assert site.server is not None
    address = urlsplit(site.server.url)
    body = form(f"{name}.bin", rng.randbytes(400_000))
    head = f"POST /api/upload/image HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-type: {FORM_TYPE}\r\n"
    with socket.create_connection((address.hostname or "", address.port or 0)) as sock:
        sock.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[: rng.randrange(70_000, 390_000)])
        while sock.recv(1000):
            pass
    raise ConnectionError("the server is gone")


def _publish(site: Site, answered: Answered, name: str, rng: random.Random) -> None:
    path = f"workflows/{name}.json"
    document = f'{{"nodes": [], "links": [], "version": 0.4, "extra": {{"name": "{name}"}}}}'.encode()
    saved = site.request("POST", f"/api/userdata/{quote(path, safe='')}", document)
    if saved.is_success:
        answered.documents[path] = document
    published = site.request(
        "POST", f"/api/userdata/{quote(path, safe='')}/publish", {"asset_ids": [], "workflow_id": name}
    )
    if published.is_success:
        answered.shares[name] = str(published.json["share_id"])


def _is_kept(site: Site, answered: Answered) -> None:
    assert answered.jobs
    assert answered.uploads
    for name, job_id in answered.jobs.items():
        shown = site.job(job_id)
        assert shown["status"] == "completed", shown
        has_its_files(site, shown, texts(name))
    for name, content in answered.uploads.items():
        assert _ok(site.view(name, folder="input")).body == content
    for path, document in answered.documents.items():
        assert _ok(site.request("GET", f"/api/userdata/{quote(path, safe='')}")).body == document
    for share in answered.shares.values():
        _ok(site.request("GET", f"/api/workflows/published/{share}"))
    unknown = site.rows("SELECT filename FROM asset LEFT JOIN blob USING (digest) WHERE blob.digest IS NULL")
    assert unknown == []


def _ok(answer: Answer) -> Answer:
    assert answer.status == 200, (answer.status, answer.body)
    return answer


def leftovers(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """Half-written files of a killed server are removed before the next one responds, and are never visible."""
    with Site(folder, workers=1) as site:
        site.start()
        kept = site.upload("kept.bin", b"kept")
        assert kept.is_success
        site.kill()
        (folder / "blobs" / "incoming" / "half").write_bytes(rng.randbytes(100))
        (folder / "staging" / "attempt").mkdir(parents=True)
        (folder / "staging" / "attempt" / "half.png").write_bytes(rng.randbytes(100))
        ledger.injected("half-written files of a killed server", 2)
        site.start()
        no_leftovers(site)
        assert site.view("kept.bin", folder="input").body == b"kept"
