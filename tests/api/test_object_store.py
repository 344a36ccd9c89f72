"""Files in an object store: served here or by a safe redirect; and an unavailable store."""

import asyncio
import io
import urllib.request
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image
from tests.api.client import Client
from tests.api.conftest import Server, running
from tests.seaweedfs import SeaweedFS

from safelight.settings import Settings

pytest.importorskip("obstore")
pytestmark = pytest.mark.anyio

VIEW = "/api/view?filename={}&type=input"


def in_s3(settings: Settings, s3: SeaweedFS, **words: object) -> Settings:
    environment = s3.environment(f"tests/{uuid.uuid4().hex}")
    own = {name.removeprefix("SAFELIGHT_").lower(): value for name, value in environment.items()}
    return settings.changed(**own, **words)  # type: ignore[arg-type]


@pytest.fixture
async def redirecting(tmp_path: Path, settings: Settings, migrated: Path, s3: SeaweedFS) -> AsyncIterator[Server]:
    async with running(tmp_path, in_s3(settings, s3, blob_redirects=True), migrated) as server:
        yield server


@pytest.fixture
async def streaming(tmp_path: Path, settings: Settings, migrated: Path, s3: SeaweedFS) -> AsyncIterator[Server]:
    async with running(tmp_path, in_s3(settings, s3), migrated) as server:
        yield server


def png(side: int = 40) -> bytes:
    body = io.BytesIO()
    Image.effect_noise((side, side), 50).save(body, "PNG")
    return body.getvalue()


async def upload(client: Client, data: bytes, filename: str = "a.png") -> None:
    answer = await client.upload("/api/upload/image", {}, image=(filename, data))
    assert answer.status == 200, answer.body


async def fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    def ask() -> tuple[int, dict[str, str], bytes]:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()

    return await asyncio.to_thread(ask)


async def test_a_picture_is_streamed_with_ranges_and_rendered(streaming: Server) -> None:
    client, data = streaming.client, png()
    await upload(client, data)
    whole = await client.get(VIEW.format("a.png"))
    assert (whole.status, whole.body, whole.headers["content-type"]) == (200, data, "image/png")
    part = await client.get(VIEW.format("a.png"), {"range": "bytes=5-20"})
    assert (part.status, part.body, part.headers["content-range"]) == (206, data[5:21], f"bytes 5-20/{len(data)}")
    thumbnail = await client.get(VIEW.format("a.png") + "&res=64")
    assert Image.open(io.BytesIO(thumbnail.body)).size == (40, 40)


async def test_a_picture_is_read_at_the_store_with_our_headers(redirecting: Server) -> None:
    client, data = redirecting.client, png()
    await upload(client, data, "ä.png")
    answer = await client.get(VIEW.format("%C3%A4.png"))
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (302, b"", "private, no-store")
    status, headers, body = await fetch(answer.headers["location"])
    assert (status, body, headers["content-type"]) == (200, data, "image/png")
    assert headers["content-disposition"] == "filename=\"_.png\"; filename*=UTF-8''%C3%A4.png"
    status, headers, body = await fetch(answer.headers["location"], range="bytes=-7")
    assert (status, body) == (206, data[-7:])


async def test_conditions_are_answered_here(redirecting: Server) -> None:
    client, data = redirecting.client, png()
    await upload(client, data)
    etag = (await client.get(VIEW.format("a.png"))).headers["etag"]
    assert (await client.get(VIEW.format("a.png"), {"if-none-match": etag})).status == 304
    assert (await client.get(VIEW.format("a.png"), {"range": "bytes=999999-"})).status == 416
    part = await client.get(VIEW.format("a.png"), {"range": "bytes=0-4", "if-range": etag})
    assert (part.status, part.body) == (206, data[:5])
    head = await client.request("HEAD", VIEW.format("a.png"))
    assert (head.status, head.headers["content-length"]) == (200, str(len(data)))


async def test_scripts_of_pages_read_here(redirecting: Server) -> None:
    """The store need not know of other sites' pages (CORS), and what a page draws on a canvas stays readable."""
    await upload(redirecting.client, png())
    for mode, status in (("cors", 200), ("same-origin", 200), ("no-cors", 302), ("navigate", 302)):
        assert (await redirecting.client.get(VIEW.format("a.png"), {"sec-fetch-mode": mode})).status == status


@pytest.mark.parametrize("filename", ["a.html", "a.svg", "a.xml", "a.js", "a.pdf", "a.txt"])
async def test_what_a_browser_would_run_is_never_sent_to_the_store(redirecting: Server, filename: str) -> None:
    start = b"%PDF-1.7\n" if filename.endswith(".pdf") else b""
    await upload(redirecting.client, start + b"<script>alert(1)</script>", filename)
    answer = await redirecting.client.get(VIEW.format(filename))
    assert (answer.status, answer.headers["x-content-type-options"]) == (200, "nosniff")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; sandbox")


async def test_bytes_that_are_gone_are_said_to_be(redirecting: Server) -> None:
    await upload(redirecting.client, png())
    await redirecting.client.get(VIEW.format("a.png"))
    blobs = redirecting.app._app.blobs
    async for blob in blobs.scan():
        await blobs.delete(blob.digest)
    answer = await redirecting.client.get(VIEW.format("a.png"))
    assert (answer.status, answer.json["code"]) == (404, "blob_not_found")


async def test_a_store_that_is_away_is_a_503_and_all_else_is_answered(
    tmp_path: Path, settings: Settings, migrated: Path
) -> None:
    words = {"blob_endpoint": "http://127.0.0.1:9", "blob_access_key": "key", "blob_secret_key": "secret"}
    away = settings.changed(blob_store="s3://bucket", **words)
    async with running(tmp_path, away, migrated) as server:
        answer = await server.client.upload("/api/upload/image", {}, image=("a.png", png()))
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "the object store does not answer" in answer.text
        assert (await server.client.get("/api/queue")).status == 200
