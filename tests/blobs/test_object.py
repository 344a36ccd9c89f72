"""What the object store does beyond the port's law: large objects in parts, presigned URLs, an unreachable store."""

import asyncio
import random
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import obstore
import pytest
from tests.seaweedfs import SeaweedFS

from safelight.blobs.hashing import hash_bytes
from safelight.blobs.object import ObjectBlobStore
from safelight.blobs.store import BlobMissing, StoreUnavailable, WrongDigest
from safelight.blobs.stores import BlobStoreConfig, open_store
from safelight.core.digest import Digest
from safelight.core.errors import Invalid, InvalidDigest

pytestmark = pytest.mark.anyio

LARGE = random.Random(7).randbytes(20_000_003)
"""Too large for memory, and more than one part."""


@pytest.fixture(params=["memory", "S3"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStoreConfig:
    if request.param == "memory":
        return BlobStoreConfig(folder=tmp_path, url="memory:///")
    server: SeaweedFS = request.getfixturevalue("s3")
    return server.store_config(f"tests/{uuid.uuid4().hex}", folder=tmp_path)


@pytest.fixture
def in_s3(s3: SeaweedFS, tmp_path: Path) -> BlobStoreConfig:
    return s3.store_config(f"tests/{uuid.uuid4().hex}", folder=tmp_path)


async def names(store: ObjectBlobStore) -> Sequence[str]:
    return sorted(found["path"] for found in await obstore.list(store._store).collect_async())


async def kept(store: ObjectBlobStore, data: bytes, *, chunk: int = 700_001) -> Digest:
    writer = store.writer()
    for at in range(0, len(data), chunk):
        await writer.write(data[at : at + chunk])
    digest, _ = await writer.finish()
    assert writer.sha256 == sha256(data).hexdigest()
    return digest


async def read(store: ObjectBlobStore, digest: Digest, **bounds: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(digest, **bounds)])


async def test_a_large_stream_is_sent_in_parts_and_stored_under_its_digest(config: BlobStoreConfig) -> None:
    store = ObjectBlobStore(config)
    digest = await kept(store, LARGE)
    assert await names(store) == [f"blobs/{digest[:2]}/{digest}"]
    assert digest == hash_bytes(LARGE)
    assert await read(store, digest) == LARGE
    assert await read(store, digest, start=12_345_678, end=13_000_000) == LARGE[12_345_678:13_000_000]


async def test_an_object_too_large_to_copy_in_the_store_is_sent_again(config: BlobStoreConfig) -> None:
    store = ObjectBlobStore(config, max_copied_bytes=1_000_000)
    digest = await kept(store, LARGE)
    assert await names(store) == [f"blobs/{digest[:2]}/{digest}"]
    assert await read(store, digest) == LARGE


async def test_a_large_file_is_adopted_only_if_it_matches_its_digest(config: BlobStoreConfig, tmp_path: Path) -> None:
    store = ObjectBlobStore(config)
    path = tmp_path / "made.bin"
    path.write_bytes(LARGE)
    with pytest.raises(WrongDigest):
        await store.adopt(path, hash_bytes(b"else"))
    assert (await names(store), path.exists()) == ([], True)
    digest = hash_bytes(LARGE)
    assert await store.adopt(path, digest) == sha256(LARGE).hexdigest()
    assert (await names(store), path.exists()) == ([f"blobs/{digest[:2]}/{digest}"], False)
    assert await read(store, digest) == LARGE


async def test_an_aborted_upload_leaves_nothing(config: BlobStoreConfig) -> None:
    store = ObjectBlobStore(config)
    writer = store.writer()
    for at in range(0, len(LARGE), 1_000_000):
        await writer.write(LARGE[at : at + 1_000_000])
    await writer.abort()
    await writer.abort()
    assert await names(store) == []


async def test_only_a_digest_becomes_a_name(config: BlobStoreConfig) -> None:
    for text in ("../../x", "A" * 64, "", "0" * 64 + "/"):
        with pytest.raises(InvalidDigest):
            await ObjectBlobStore(config).stat(Digest(text))


async def test_a_blob_stored_while_a_collector_removes_it_is_stored_again(config: BlobStoreConfig) -> None:
    """The test acts as the collector that has checked the object and not yet removed it."""
    store = ObjectBlobStore(config)
    digest = await kept(store, b"again")
    await obstore.put_async(store._store, f"leaving/{digest}", b"")
    keeping = asyncio.create_task(kept(store, b"again"))
    await asyncio.wait({keeping}, timeout=0.5)
    assert not keeping.done()
    for name in (f"blobs/{digest[:2]}/{digest}", f"leaving/{digest}"):
        await obstore.delete_async(store._store, name)
    assert await keeping == digest
    assert await read(store, digest) == b"again"


async def test_only_old_unfinished_uploads_are_swept(config: BlobStoreConfig) -> None:
    store = ObjectBlobStore(config)
    await obstore.put_async(store._store, "incoming/fresh", b"x")
    await store.sweep()
    assert await names(store) == ["incoming/fresh"]


async def test_a_presigned_url_sets_the_headers_of_the_response(in_s3: BlobStoreConfig) -> None:
    store = ObjectBlobStore(in_s3)
    digest = await kept(store, b"picture")
    disposition = "filename=\"_.png\"; filename*=UTF-8''%C3%A4.png"
    url = await store.sign_get(digest, content_type="image/png", disposition=disposition, expires_s=60)
    assert url is not None
    status, headers, body = await fetch(url, headers={"range": "bytes=2-4"})
    assert (status, body, headers["content-type"]) == (206, b"ctu", "image/png")
    assert headers["content-disposition"] == disposition
    html = url.replace(quote("image/png", safe=""), quote("text/html", safe=""))
    assert html != url
    assert (await fetch(html))[0] == 403


async def test_bytes_can_be_uploaded_to_a_presigned_url(in_s3: BlobStoreConfig) -> None:
    store = ObjectBlobStore(in_s3)
    digest = hash_bytes(b"from afar")
    with pytest.raises(BlobMissing):
        await store.confirm(digest, size=9)
    url = await store.sign_transfer("PUT", digest, expires_s=60)
    assert url is not None
    assert (await fetch(url))[0] == 403  # the URL is for PUT only
    assert (await fetch(url, method="PUT", data=b"from afar"))[0] == 200
    await store.confirm(digest, size=9)
    with pytest.raises(BlobMissing):
        await store.confirm(digest, size=10)
    assert await read(store, digest) == b"from afar"
    back = await store.sign_transfer("GET", digest, expires_s=60)
    assert back is not None
    assert (await fetch(back))[2] == b"from afar"


async def test_presigned_urls_for_browsers_use_the_public_endpoint(in_s3: BlobStoreConfig) -> None:
    store = ObjectBlobStore(replace(in_s3, public_endpoint="https://pictures.example.org/"))
    url = await store.sign_get(hash_bytes(b""), content_type="image/png", disposition="", expires_s=60)
    assert url is not None
    assert url.startswith("https://pictures.example.org/tests/")
    ours = await store.sign_transfer("GET", hash_bytes(b""), expires_s=60)
    assert ours is not None
    assert ours.startswith(in_s3.endpoint)


async def test_a_store_that_cannot_sign_headers_has_no_presigned_urls(tmp_path: Path) -> None:
    store = ObjectBlobStore(BlobStoreConfig(folder=tmp_path, url="memory:///"))
    assert await store.sign_get(hash_bytes(b""), content_type="image/png", disposition="", expires_s=60) is None


async def test_an_unreachable_store_fails_soon_and_loses_nothing(tmp_path: Path) -> None:
    nowhere = {"endpoint": "http://127.0.0.1:9", "region": "us-east-1"}
    config = BlobStoreConfig(folder=tmp_path, url="s3://bucket", access_key="key", secret_key="the secret", **nowhere)
    store = ObjectBlobStore(config)
    path = tmp_path / "made.bin"
    path.write_bytes(LARGE)
    digest = hash_bytes(LARGE)
    actions: Sequence[Callable[[], Awaitable[object]]] = (
        store.check,
        lambda: store.stat(digest),
        lambda: read(store, digest),
        lambda: kept(store, b"small"),
        lambda: kept(store, LARGE),
        lambda: store.adopt(path, digest),
        lambda: store.delete(digest),
    )

    async def fails(action: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(StoreUnavailable) as raised:
            await action()
        assert "the secret" not in str(raised.value)

    begun = time.monotonic()
    await asyncio.gather(*map(fails, actions))
    assert time.monotonic() - begun < 20
    assert path.read_bytes() == LARGE


async def test_refused_credentials_are_reported(in_s3: BlobStoreConfig) -> None:
    with pytest.raises(StoreUnavailable, match="refuses"):
        await kept(ObjectBlobStore(replace(in_s3, secret_key="another")), b"small")


@pytest.mark.parametrize(
    "url", ["s3://", "http://host/bucket", "bucket", "s3://user:secret@b", "file://host/x", "s3://["]
)
def test_an_invalid_store_url_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Invalid):
        open_store(BlobStoreConfig(folder=tmp_path, url=url))


async def fetch(
    url: str, *, method: str = "GET", headers: dict[str, str] | None = None, data: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    def ask() -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(url, data, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {}, error.read()

    return await asyncio.to_thread(ask)
