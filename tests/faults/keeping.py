"""Stored bytes: damage on the disk, garbage collection while the same bytes are uploaded, backups under load.

What was acknowledged is read back byte for byte, or is reported as damaged."""

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path

from blake3 import blake3
from tests.faults.engines import job
from tests.faults.ledger import Ledger
from tests.faults.site import PATIENCE_S, Site

from safelight.blobs.local import LocalBlobStore
from safelight.db.engine import Database
from safelight.services import blob_check as blobs

LARGE = 3 * 1024 * 1024
PROTECTED_S = 3.0
"""Much longer than an upload here takes from its last byte to its row."""


def damaged(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """Flipped, truncated and lost files: no download is wrong, ``verify`` names each, and a new upload repairs them."""
    with Site(folder / "data", workers=1).start() as site:
        contents = {f"{number}.bin": rng.randbytes(rng.choice((1, 5_000, LARGE))) for number in range(9)}
        for name, content in contents.items():
            assert site.upload(name, content).status == 200
        assert _command("verify", site.folder).returncode == 0
        spoiled = rng.sample(sorted(contents), 4)
        harms: tuple[Callable[[Path, random.Random], None], ...] = (_flip, _flip, _cut, _lose)
        for name, harm in zip(spoiled, harms, strict=True):
            harm(_file_of(site.folder, contents[name]), rng)
            ledger.injected("a stored file that is damaged")
        for name, content in contents.items():
            got = _download(site, name)
            assert got == content if name not in spoiled else got is None, f"the download of {name} is wrong"
        found = _command("verify", site.folder)
        assert found.returncode == 1
        for name, content in contents.items():
            assert (blake3(content).hexdigest() in found.stdout) == (name in spoiled), found.stdout
        for name in spoiled:
            assert site.upload(f"again_{name}", contents[name]).status == 200
            assert _download(site, name) == contents[name]
        assert _command("verify", site.folder).returncode == 0


def collected(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """Uploads and deletions of the same few contents, while garbage is collected again and again."""
    contents = [rng.randbytes(20_000) for _ in range(6)]
    kept: dict[str, bytes] = {}

    def traffic(site: Site, own: random.Random, is_over: Callable[[], bool]) -> None:
        mine: list[tuple[str, str, bytes]] = []
        while not is_over():
            content = own.choice(contents) if own.random() < 0.7 else own.randbytes(20_000)
            name = f"{own.randrange(1 << 60):015x}.bin"
            assert site.upload(name, content).status == 200
            [[asset_id]] = site.rows("SELECT id FROM asset WHERE filename = ?", name)
            mine.append((name, asset_id, content))
            if own.random() < 0.8:
                _, gone, _ = mine.pop(own.randrange(len(mine)))
                assert site.request("DELETE", f"/api/assets/{gone}").is_success
        kept.update({name: content for name, _, content in mine})

    with Site(folder / "data", workers=1).start() as site:
        with _crowd(site, traffic, rng, threads=3):
            for _ in range(8):
                time.sleep(0.8)
                ledger.injected("a file collected under load", asyncio.run(_collect(site, PROTECTED_S)))
        assert ledger.faults["a file collected under load"] > 0
        for name, content in kept.items():
            assert site.view(name, folder="input").body == content, f"{name} is lost"
        for [asset_id] in site.rows("SELECT id FROM asset"):
            assert site.request("DELETE", f"/api/assets/{asset_id}").is_success
        time.sleep(0.05)
        asyncio.run(_collect(site, 0.0))
        assert not any(path.is_file() for path in (site.folder / "blobs" / "b3").rglob("*")), "garbage is left"


def backed_up(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """A backup under load has everything that was acknowledged before it began, and can be restored completely."""
    uploads: dict[str, bytes] = {}
    jobs: list[str] = []

    def traffic(site: Site, own: random.Random, is_over: Callable[[], bool]) -> None:
        while not is_over():
            name, content = f"{own.randrange(1 << 60):015x}.bin", own.randbytes(own.choice((100, 50_000, LARGE)))
            assert site.upload(name, content).status == 200
            uploads[name] = content
            jobs.append(site.submit(job(name)))

    with Site(folder / "data", workers=1).start() as site, _crowd(site, traffic, rng, threads=2):
        time.sleep(1)
        for _ in range(2):  # the second brings the first up to date
            before = dict(uploads), list(jobs)
            made = _command("backup", site.folder, str(folder / "backup"))
            assert made.returncode == 0, made.stdout + made.stderr
            ledger.injected("a backup under load")
    _restored(folder, *before)
    _flip(next(path for path in (folder / "backup" / "blobs" / "b3").rglob("*") if path.is_file()), rng)
    refused = _command("restore", folder / "other", str(folder / "backup"))
    assert refused.returncode != 0, "a damaged backup was restored"
    assert not (folder / "other" / "safelight.db").exists()
    ledger.injected("a damaged backup")


def _restored(folder: Path, uploads: Mapping[str, bytes], jobs: list[str]) -> None:
    back = _command("restore", folder / "back", str(folder / "backup"))
    assert back.returncode == 0, back.stdout + back.stderr
    assert _command("verify", folder / "back").returncode == 0
    assert _command("restore", folder / "back", str(folder / "backup")).returncode != 0, (
        "a restore overwrote a data folder"
    )
    with Site(folder / "back", workers=1).start() as site:
        for name, content in uploads.items():
            assert site.view(name, folder="input").body == content
        for job_id in jobs:
            assert site.end(job_id)["status"] == "completed"


@contextmanager
def _crowd(
    site: Site,
    traffic: Callable[[Site, random.Random, Callable[[], bool]], None],
    rng: random.Random,
    *,
    threads: int,
) -> Iterator[None]:
    """Run clients until the block ends; raise what fails in one of them."""
    is_over, failures = threading.Event(), list[BaseException]()

    def run(own: random.Random) -> None:
        try:
            traffic(site, own, is_over.is_set)
        except BaseException as error:
            failures.append(error)

    crowd = [threading.Thread(target=run, args=(random.Random(rng.random()),)) for _ in range(threads)]
    for thread in crowd:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in crowd:
            thread.join(PATIENCE_S)
    if failures:
        raise failures[0]


async def _collect(site: Site, protected_s: float) -> int:
    """Collect garbage as ``safelight gc`` does, with a shorter protection. Return the number of removed files."""
    db = await Database.open(f"sqlite:///{site.folder}/safelight.db", on_commit=lambda events: None)
    try:
        before = datetime.now(UTC) - timedelta(seconds=protected_s)
        return (await blobs.collect(db, LocalBlobStore(site.folder / "blobs"), before=before)).blobs
    finally:
        await db.close()


def _command(name: str, data_dir: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "safelight.cli", name, "--data-dir", str(data_dir), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def _download(site: Site, name: str) -> bytes | None:
    """Return the bytes; ``None`` if the download fails or is truncated."""
    try:
        answer = site.view(name, folder="input")
    except (HTTPException, OSError):
        return None
    return answer.body if answer.status == 200 else None


def _file_of(data_dir: Path, content: bytes) -> Path:
    name = blake3(content).hexdigest()
    return data_dir / "blobs" / "b3" / name[:2] / name[2:4] / name


def _flip(path: Path, rng: random.Random) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        at = rng.randrange(path.stat().st_size)
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << rng.randrange(8)]))


def _cut(path: Path, rng: random.Random) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.truncate(rng.randrange(path.stat().st_size))


def _lose(path: Path, rng: random.Random) -> None:
    path.unlink()
