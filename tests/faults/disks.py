"""Faults of storage: a full disk under the files or the database, a locked database, a disk that rejects writes.

Nothing fails silently, reads keep working, and the server recovers with the disk."""

import random
import resource
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.faults.audit import audit, has_its_files
from tests.faults.engines import job, texts
from tests.faults.ledger import Ledger
from tests.faults.site import Answer, Site, wait_for


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """Mount a small file system, which needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill the disk."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(65536)):
                pass
        except OSError:
            pass
    try:
        yield
    finally:
        ballast.unlink()


def full_of_files(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """The disk of the files is full: 507, no half file, reads keep working, and it recovers."""
    database = folder / "database.db"
    content = rng.randbytes(300_000)
    with (
        small_disk(folder / "disk", megabytes=8) as disk,
        Site(disk, workers=1, database=database, environment={"TMPDIR": str(folder)}).start() as site,
    ):
        site.end(site.submit(job("before")))
        assert site.upload("before.bin", content).status == 200
        with filled(disk):
            for number in range(3):
                _refused(site.upload(f"full{number}.bin", rng.randbytes(300_000)), 507)
                ledger.injected("a full disk under files")
            assert site.view("before.bin", folder="input").body == content
        assert site.rows("SELECT name FROM asset WHERE name LIKE 'full%'") == []
        assert site.upload("after.bin", content).status == 200
        ended = site.end(site.submit(job("after")))
        has_its_files(site, ended, texts("after"))
        audit(site)


def full_database(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """The disk of the database is full: 507 or 503, reads keep working, and it recovers."""
    with (
        small_disk(folder / "disk", megabytes=4) as disk,
        Site(folder / "data", workers=1, database=disk / "database.db").start() as site,
    ):
        known = site.submit(job("before"))
        site.end(known)
        answered: list[str] = []
        with filled(disk):
            for number in range(200):
                answer = _submit(site, f"full{number}")
                if answer.is_success:  # while there is space in the allocated part of the log
                    answered.append(answer.json["prompt_id"])
                    continue
                _refused(answer, 507, 503)
                ledger.injected("a full disk under the database")
                if number > 150:
                    break
            assert site.job(known)["status"] == "completed"
        assert ledger.total
        for job_id in [*answered, site.submit(job("after"))]:
            assert site.end(job_id)["status"] == "completed"
        wait_for(lambda: site.rows("SELECT 1 FROM job WHERE state IN ('queued', 'running') LIMIT 1") == [])
        assert site.rows("SELECT count(*) FROM job") == [(len(answered) + 2,)]
        audit(site)


def locked(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """Another process holds the database's lock: 503 with Retry-After, and no effect."""
    with Site(folder, workers=1).start() as site:
        known = site.submit(job("before"))
        site.end(known)
        with closing(site.connect()) as other:
            other.execute("BEGIN IMMEDIATE")
            ledger.injected("a database lock held by another process")
            _refused(_submit(site, "locked"), 503)
            assert site.job(known)["status"] == "completed"
            other.execute("ROLLBACK")
        assert site.end(site.submit(job("after")))["status"] == "completed"
        assert site.rows("SELECT count(*) FROM job") == [(2,)]
        audit(site)


def unwritable(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """All writes of the server fail while a job runs: its end is stored when writes succeed again."""
    with Site(folder, workers=1).start() as site:
        known = site.submit(job("before"))
        site.end(known)
        prompt = job("running")
        prompt["3"]["inputs"]["seconds"] = 0.4
        running = site.submit(prompt)
        site.running(running)
        wait_for(lambda: site.rows("SELECT 1 FROM asset WHERE NOT published") != [])
        _, most = resource.prlimit(site.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(site.pid, resource.RLIMIT_FSIZE, (0, most))
        ledger.injected("a disk that refuses writes", 2)
        _refused(_submit(site, "unwritten"), 503, 507)
        _refused(site.upload("unwritten.bin", rng.randbytes(300_000)), 503, 507)
        assert site.job(known)["status"] == "completed"
        assert site.view("before_00001_.txt", folder="output").body == b"before a 0"
        resource.prlimit(site.pid, resource.RLIMIT_FSIZE, (most, most))
        ended = site.end(running)
        assert ended["status"] == "completed", ended
        has_its_files(site, ended, texts("running"))
        assert site.end(site.submit(job("after")))["status"] == "completed"
        assert site.rows("SELECT count(*) FROM job") == [(3,)]
        audit(site)


def _submit(site: Site, name: str) -> Answer:
    return site.request("POST", "/api/prompt", {"prompt": job(name)})


def _refused(answer: Answer, *statuses: int) -> None:
    assert answer.status in statuses, (answer.status, answer.body)
    assert answer.status != 503 or int(answer.headers["retry-after"]) > 0
