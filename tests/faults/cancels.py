"""Cancels at any moment of a job's life, racing with its finish, and their effect on other jobs."""

import random
import threading
import time
from pathlib import Path

from tests.faults.audit import audit, has_its_files
from tests.faults.engines import job, texts
from tests.faults.ledger import Ledger
from tests.faults.site import Site


def cancels(folder: Path, rng: random.Random, ledger: Ledger, *, number: int) -> None:
    """Every cancelled job ends once; a late cancel or a stale interrupt never affects another job."""
    with Site(folder, workers=2).start() as site:
        site.end(site.submit(job("warm")))
        for turn in range(number):
            victim, innocent = f"victim{turn}", f"innocent{turn}"
            victim_id = site.submit(job(victim))
            innocent_id = site.submit(job(innocent))
            late = rng.random() < 0.3
            pause = rng.uniform(0, 0.07)
            if late:
                site.end(victim_id)
            else:
                time.sleep(pause)
            stale = rng.random() < 0.5
            accepted = _cancel_twice(site, victim_id, stale=stale)
            ledger.injected("a cancel at a random moment")
            ended = site.end(victim_id)
            assert ended["status"] in ("completed", "cancelled")
            if ended["status"] == "cancelled":
                assert accepted or stale
            elif late:
                assert not accepted, "a job that has ended cannot be cancelled"
            other = site.end(innocent_id)
            assert other["status"] == "completed", other
            has_its_files(site, other, texts(innocent))
        assert {row[0] for row in site.rows("SELECT attempt FROM job")} <= {0, 1}
        audit(site)


def _cancel_twice(site: Site, job_id: str, *, stale: bool) -> bool:
    """Cancel twice at the same time; ``stale``: and interrupt it, perhaps too late."""
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(site.cancel(job_id))) for _ in range(2)]
    for thread in threads:
        thread.start()
    if stale:
        assert site.request("POST", "/api/interrupt", {"prompt_id": job_id}).is_success
    for thread in threads:
        thread.join()
    assert answers.count(True) <= 1, "only one cancel takes effect"
    return any(answers)
