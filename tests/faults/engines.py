"""Faults of engines: killed at every point of a job, crashed, frozen, hung, flooding, out of memory, sending
garbage."""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.faults.audit import audit, has_its_files
from tests.faults.ledger import Ledger
from tests.faults.site import Site, is_alive, wait_for

NONE: Mapping[str, str] = {}
POINTS = ("mid-node", "saving", "saved", "before the finish")


def job(name: str, *, point: str = "", marker: Path | None = None, delay_s: float = 0.0) -> dict[str, Any]:
    """Wait, save two files, wait, save two files. The engine dies once at ``point``."""
    mark = str(marker)
    at_first, at_last = ({"marker": mark} if point == p else {} for p in ("mid-node", "before the finish"))
    in_save = {"point": point, "marker": mark, "delay_s": delay_s} if point in ("saving", "saved") else {}
    return {
        "1": node("Wait", seconds=0.01, salt=name, **at_first),
        "2": node("SaveTwo", text=f"{name} a", prefix=name, after=["1", 0], **in_save),
        "3": node("Wait", seconds=0.01, salt=name, after=["2", 0], **at_last),
        "4": node("SaveTwo", text=f"{name} b", prefix=name, after=["3", 0]),
    }


def texts(name: str) -> dict[str, str]:
    return {"2": f"{name} a", "4": f"{name} b"}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def deed(what: str) -> dict[str, Any]:
    return {"1": node("Deed", what=what)}


def deaths_at_points(
    folder: Path, rng: random.Random, ledger: Ledger, *, kills: int, settings: Mapping[str, str] = NONE
) -> None:
    """``kill -9`` inside jobs, at chosen points, among other jobs: each completes at its second attempt."""
    with Site(folder, environment=dict(settings)).start() as site:
        jobs: dict[str, str] = {}
        markers: dict[str, Path] = {}
        for number in range(kills):
            name = f"point{number}"
            marker = markers[name] = folder / f"marker{number}"
            prompt = job(name, point=POINTS[number % len(POINTS)], marker=marker, delay_s=rng.uniform(0, 0.01))
            jobs[name] = site.submit(prompt)
            if rng.random() < 0.5:
                jobs[f"calm{number}"] = site.submit(job(f"calm{number}"))
        for name, job_id in jobs.items():
            ended = site.end(job_id)
            assert ended["status"] == "completed", ended
            has_its_files(site, ended, texts(name))
            if name in markers:
                ledger.injected("kill -9 of an engine inside a job")
                ledger.retries_s.append(_retry_s(site, ended, died_at=float(markers[name].read_text())))
        attempts = dict(site.rows("SELECT id, attempt FROM job"))
        late = [name for name in jobs if name.startswith("calm") and attempts[jobs[name]] != 1]
        assert late == [], "jobs whose engine did not die were retried"
        audit(site)


def _retry_s(site: Site, ended: Any, *, died_at: float) -> float:
    """0 if the engine died after the job was done."""
    [(attempt,)] = site.rows("SELECT attempt FROM job WHERE id = ?", ended["id"])
    return max(0.0, ended["execution_start_time"] / 1000 - died_at) if attempt > 1 else 0.0


def deaths_at_random(
    folder: Path, rng: random.Random, ledger: Ledger, *, kills: int, settings: Mapping[str, str] = NONE
) -> None:
    """``kill -9`` from outside at a random moment after the submit: claimed, running, saving, done, idle."""
    with Site(folder, workers=1, environment=dict(settings)).start() as site:
        site.end(site.submit(job("warm")))
        for number in range(kills):
            name = f"random{number}"
            job_id = site.submit(job(name))
            time.sleep(rng.uniform(0, 0.08))
            for pid in site.engines():
                os.kill(pid, signal.SIGKILL)
                ledger.injected("kill -9 of an engine at a random moment")
            died_at = time.time()
            ended = site.end(job_id)
            assert ended["status"] == "completed", ended
            has_its_files(site, ended, texts(name))
            ledger.retries_s.append(_retry_s(site, ended, died_at=died_at))
        audit(site)


def poison(folder: Path, rng: random.Random, ledger: Ledger, *, settings: Mapping[str, str] = NONE) -> None:
    """Jobs that always end their engine stop after the retry limit, with the reason; the next job is not affected."""
    reasons = {"segfault": "SIGSEGV", "exit": "status 0", "be_killed": "SIGKILL", "garbage": "not a message"}
    garbage = {"1": node("Garbage", frame="ffffffff" + rng.randbytes(8).hex())}
    with Site(folder, workers=1, environment=dict(settings)).start() as site:
        for what in rng.sample(sorted(reasons), len(reasons)):
            bad = site.submit(garbage if what == "garbage" else deed(what))
            good = site.submit(job(f"after {what}"))
            ended = site.end(bad)
            assert ended["status"] == "failed"
            message = ended["execution_error"]["exception_message"]
            assert reasons[what] in message, message
            assert "(attempt 2 of 2)" in message
            ledger.injected(f"an engine that ends: {what}", 2)
            after = site.end(good)
            has_its_files(site, after, texts(f"after {what}"))
            assert site.rows("SELECT attempt FROM job WHERE id = ?", good) == [(1,)]
        audit(site)


def frozen(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """SIGSTOP past the lease, another engine finishes, SIGCONT: late messages of the first have no effect."""
    with Site(folder, workers=2, environment={"SAFELIGHT_LEASE_S": "1.5"}).start() as site:
        site.end(site.submit(job("warm")))
        wait_for(lambda: _are_idle(site))  # a starting engine may be silent for longer
        prompt = job("frozen")
        prompt["1"]["inputs"]["seconds"] = 0.6
        job_id = site.submit(prompt)
        site.running(job_id)
        time.sleep(rng.uniform(0.05, 0.2))
        stopped = site.engines()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
            ledger.injected("SIGSTOP of an engine past its lease")
        ended = site.end(job_id)
        for pid in stopped:
            _continue(pid)
        assert ended["status"] == "completed"
        has_its_files(site, ended, texts("frozen"))
        assert site.rows("SELECT attempt FROM job WHERE id = ?", job_id) == [(2,)]
        wait_for(lambda: not any(is_alive(pid) for pid in stopped))
        has_its_files(site, site.job(job_id), texts("frozen"))
        audit(site)


def _are_idle(site: Site) -> bool:
    return all(slot["state"] == "idle" for slot in site.request("GET", "/api/admin/schedule").json["slots"])


def _continue(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return


def unruly(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """A hang that ignores its cancel, a process left behind, a flood of events, memory that grows, a lost device."""
    settings = {"SAFELIGHT_CANCEL_GRACE_S": "0.2", "SAFELIGHT_RSS_LIMIT_BYTES": str(80 << 20)}
    with Site(folder, workers=1, environment=settings).start() as site:
        acts: list[Callable[[Site, Ledger], None]] = [_hang, _leave_a_child, _flood, _grow, _lose_device]
        rng.shuffle(acts)
        for number, act in enumerate(acts):
            act(site, ledger)
            name = f"unruly{number}"
            after = site.end(site.submit(job(name)))
            has_its_files(site, after, texts(name))
        audit(site)


def _hang(site: Site, ledger: Ledger) -> None:
    job_id = site.submit(deed("hang"))
    site.running(job_id)
    assert site.cancel(job_id)
    ledger.injected("a node that ignores its cancel")
    assert site.end(job_id)["status"] == "cancelled"


def _leave_a_child(site: Site, ledger: Ledger) -> None:
    job_id = site.submit(deed("spawn_and_hang"))
    site.running(job_id)
    [engine] = site.engines()
    child = Path(f"/proc/{engine}/task/{engine}/children")
    wait_for(lambda: child.read_text().split() or _any_child(engine))
    pid = int((child.read_text().split() or _any_child(engine))[0])
    assert site.cancel(job_id)
    ledger.injected("a process that a node left behind")
    assert site.end(job_id)["status"] == "cancelled"
    wait_for(lambda: not is_alive(pid))


def _any_child(engine: int) -> list[str]:
    """Children are listed under the thread that started them."""
    return [pid for file in Path(f"/proc/{engine}/task").glob("*/children") for pid in file.read_text().split()]


def _flood(site: Site, ledger: Ledger) -> None:
    job_id = site.submit({"1": node("Flood", count=20_000)})
    ledger.injected("a flood of 20,000 lines and reports")
    slowest = 0.0
    while site.job(job_id)["status"] not in ("completed", "failed"):
        begun = time.monotonic()
        assert site.request("GET", "/api/queue").status == 200
        slowest = max(slowest, time.monotonic() - begun)
    assert site.job(job_id)["status"] == "completed"
    assert slowest < 5, "requests waited for a flood of another job"


def _lose_device(site: Site, ledger: Ledger) -> None:
    """Once: the job is retried in a new process. At every attempt: it fails with the device's message."""
    for marker, status in ((str(site.folder / "lost"), "completed"), ("", "failed")):
        [before] = site.engines()
        lost = {"1": node("LosesDevice", salt=status, marker=marker)}
        saved = {"2": node("SaveTwo", text=status, prefix=status, after=["1", 0])}
        ended = site.end(site.submit(lost | saved))
        ledger.injected("a device that fails until its process ends")
        assert ended["status"] == status
        wait_for(lambda before=before: not is_alive(before))  # type: ignore[misc]
    assert "illegal memory access" in ended["execution_error"]["exception_message"]


def _grow(site: Site, ledger: Ledger) -> None:
    [before] = site.engines()
    assert site.end(site.submit(deed("grow")))["status"] == "completed"
    ledger.injected("an engine that exceeds its memory limit")
    wait_for(lambda: not is_alive(before))
