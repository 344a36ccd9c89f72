"""Jobs that would occupy a worker forever, and staging folders that fail."""

import random
import shutil
from pathlib import Path
from typing import Any

from tests.faults.audit import audit, has_its_files
from tests.faults.engines import deed, job, texts
from tests.faults.ledger import Ledger
from tests.faults.site import Site, wait_for


def hung(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """A job beyond its run limit and a node that is silent: each fails once, and the next jobs run."""
    limits = {"SAFELIGHT_RUN_LIMIT_S": "4", "SAFELIGHT_SILENT_NODE_S": "0", "SAFELIGHT_CANCEL_GRACE_S": "0.2"}
    silent = limits | {"SAFELIGHT_RUN_LIMIT_S": "0", "SAFELIGHT_SILENT_NODE_S": "1.5"}
    for name, environment, kind in (("runs", limits, "RunLimitExceeded"), ("silent", silent, "NodeSilent")):
        with Site(folder / name, workers=1, environment=environment).start() as site:
            site.end(site.submit(job("warm")))
            for number in range(rng.randint(1, 2)):
                bad = site.submit(deed("hang"))
                good = site.submit(job(f"after {name}{number}"))
                ended = site.end(bad)
                ledger.injected(
                    "a job beyond its run limit" if name == "runs" else "a node that is silent for too long"
                )
                assert ended["status"] == "failed", ended
                error = ended["execution_error"]
                assert (error["exception_type"], error["node_id"], error["node_type"]) == (kind, "1", "Deed"), error
                assert site.rows("SELECT attempt FROM job WHERE id = ?", bad) == [(1,)]
                has_its_files(site, site.end(good), texts(f"after {name}{number}"))
            audit(site)


def shut(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """The folder of outputs is gone until an administrator restores it: no job fails, the slot is shut and reports why,
    and jobs run again when it is opened."""
    with Site(folder, workers=1).start() as site:
        site.end(site.submit(job("warm")))
        staging = folder / "staging"
        moved = folder / "moved"
        staging.rename(moved)
        staging.touch()  # a folder cannot be made there
        ledger.injected("a folder of outputs that is gone")
        names = [f"waits{n}" for n in range(rng.randint(3, 5))]
        jobs = {name: site.submit(job(name)) for name in names}
        wait_for(lambda: _slot(site)["state"] == "shut")
        ledger.injected("a slot that is shut")
        assert _slot(site)["reason"]
        assert site.rows("SELECT count(*) FROM job WHERE state = 'failed'") == [(0,)]
        staging.unlink()
        shutil.move(moved, staging)
        opened = site.request("PUT", "/api/admin/schedule/slots/local-0", {"mode": "open"})
        assert opened.status == 200, opened.body
        for name in names:
            ended = site.end(jobs[name])
            assert ended["status"] == "completed", ended
            has_its_files(site, ended, texts(name))
        audit(site)


def drained(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """``drain --now`` in the middle of jobs: they return to the queue and complete later."""
    with Site(folder, workers=2).start() as site:
        site.end(site.submit(job("warm")))
        jobs: dict[str, str] = {}
        for number in range(rng.randint(2, 4)):
            for other in "ab":
                prompt = job(f"drained{number}{other}")
                prompt["1"]["inputs"]["seconds"] = rng.uniform(0.3, 1.0)
                jobs[f"drained{number}{other}"] = site.submit(prompt)
            wait_for(lambda: site.rows("SELECT count(*) FROM job WHERE state = 'running'") != [(0,)])
            answer = site.request("PUT", "/api/admin/schedule/queue", {"mode": "closed", "now": True})
            assert answer.status == 200, answer.body
            ledger.injected("drain --now while jobs run")
            wait_for(lambda: site.rows("SELECT count(*) FROM job WHERE state = 'running'") == [(0,)])
            assert site.request("PUT", "/api/admin/schedule/queue", {"mode": "open"}).status == 200
        for name, job_id in jobs.items():
            ended = site.end(job_id)
            assert ended["status"] == "completed", ended
            has_its_files(site, ended, texts(name))
            [(attempt, releases)] = site.rows("SELECT attempt, releases FROM job WHERE id = ?", job_id)
            assert attempt - releases == 1
        audit(site)


def _slot(site: Site) -> Any:
    [slot] = site.request("GET", "/api/admin/schedule").json["slots"]
    return slot
