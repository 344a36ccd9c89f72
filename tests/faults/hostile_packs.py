"""A site with a hostile node pack, and what it must not reach: its own code, the server, the data folder, the machine.

``python -m tests.faults.hostile_packs`` runs all attacks in a temporary folder and prints their results.
"""

import json
import random
import shutil
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cli.server import safelight
from tests.faults.ledger import Ledger
from tests.faults.site import Answer, Site, wait_for

from safelight.sandbox import keeper, landlock

HOSTILE = Path(__file__).parent / "hostile"
CODE = "__init__.py"
PRISTINE = "as the operator put it there"
"""The version that the pack's code reports unless it was replaced."""


def hostile_site(folder: Path, *, workers: int = 1, **settings: str) -> Site:
    """Make a site without starting it. The operator's own copy of the pack is in ``folder/packs``."""
    shutil.copytree(HOSTILE, folder / "packs", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "models/checkpoints").mkdir(parents=True)
    (folder / "models/checkpoints/a.safetensors").write_text("weights")
    environment = {
        "SAFELIGHT_CUSTOM_NODES": str(folder / "packs"),
        "SAFELIGHT_MODELS_DIR": str(folder / "models"),
        "SAFELIGHT_WORKER_WRITABLE": "",
        **{f"SAFELIGHT_{name.upper()}": value for name, value in settings.items()},
    }
    return Site(folder / "data", workers=workers, environment=environment)


def pack_of(site: Site) -> Path:
    return site.folder.with_name("packs") / "attacker"


def result_of(site: Site, node: str, headers: Mapping[str, str], **inputs: str) -> Any:
    """Run a node of the pack and return its result."""
    ended = end(site, run(site, node, headers, **inputs), headers)
    assert ended["status"] == "completed", ended
    [text] = ended["outputs"]["1"]["text"]
    return json.loads(text)


def run(site: Site, node: str, headers: Mapping[str, str], **inputs: str) -> str:
    prompt = {"1": {"class_type": node, "inputs": inputs}}
    wait_for(lambda: site.request("GET", f"/api/object_info/{node}", headers=headers).status == 200)
    answer = site.request("POST", "/api/prompt", {"prompt": prompt}, headers=headers)
    assert answer.status == 200, answer
    return str(answer.json["prompt_id"])


def end(site: Site, job_id: str, headers: Mapping[str, str]) -> Any:
    def job() -> Any:
        return site.request("GET", f"/api/jobs/{job_id}", headers=headers).json

    wait_for(lambda: job()["status"] in ("completed", "failed", "cancelled"))
    return job()


def look(site: Site, headers: Mapping[str, str]) -> Any:
    return result_of(site, "Look", headers, salt=uuid.uuid4().hex)


def attack(site: Site, headers: Mapping[str, str], *, daemon: str) -> dict[str, str]:
    """Run the node's attacks and return the result of each. The store and each slot's inputs have files to read."""
    assert site.upload("secret.txt", b"of another user").is_success or headers
    for slot in ("local-0", "local-1"):
        folder = site.folder / "inputs" / slot / "job"
        folder.mkdir(parents=True)
        (folder / "file").write_text("of another user")
    known = {
        "data_dir": str(site.folder),
        "pack": str(pack_of(site)),
        "models": str(site.folder.with_name("models")),
        "server": site.pid,
        "daemon": daemon,
    }
    return dict(result_of(site, "Attack", headers, known=json.dumps(known)))


def attacks(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    """Every attack of the node on two workers, one of which has the inputs of another job: none succeeds, and no
    code and no processes are left behind."""
    name = f"at-{rng.randrange(1 << 32):08x}"
    with hostile_site(folder, workers=2).start() as site:
        results = attack(site, {}, daemon=name)
        ledger.injected("an attack of a hostile node pack", len(results))
        done = {what for what, how in results.items() if how.startswith("done")}
        lacking = set()
        if keeper.namespace_refusal(()) is not None:
            lacking |= {
                *("move the server to one core", "make the server nice", "read the server's command line"),
                *("change the mode of the data folder", "change the mode of the database"),
                "change the mode of its code",
            }
        if landlock.version() < 6:
            lacking |= {"end the server", "stop the server"}
        assert done <= lacking, "`safelight doctor` lists what this system cannot refuse"
        assert site.folder.stat().st_mode & 0o777 in (0o700, 0o710)
        for file in ("safelight.db", "safelight.db-shm", "safelight.db-wal"):
            assert (site.folder / file).stat().st_mode & 0o077 == 0

        assert len(processes_named(name)) == 1, "the daemon runs beside its engine"
        restart_engine(site, {})
        wait_for(lambda: processes_named(name) == [])  # the daemon ends with its engine
        for _ in range(2):  # on both workers, wherever the jobs go
            seen = look(site, {})
            assert seen["version"] == PRISTINE
            assert seen["left"] == []


def restart_engine(site: Site, headers: Mapping[str, str]) -> None:
    """End the engine of a slot inside a job, so that another one starts."""
    assert end(site, run(site, "Die", headers, salt=uuid.uuid4().hex), headers)["status"] == "failed"


def save(site: Site, name: str, text: str, headers: Mapping[str, str]) -> Answer:
    wait_for(lambda: site.request("GET", "/api/object_info/Attack", headers=headers).status == 200)
    return site.request("POST", f"/attacker/save/{name}", text.encode(), headers=headers)


def with_account(site: Site, name: str, *options: str) -> dict[str, str]:
    """Make an account and return the headers with its key."""
    at = ("--data-dir", str(site.folder))
    made = safelight("user", "add", name, "--no-password", *options, *at)
    assert made.returncode == 0, made.stderr
    key = safelight("key", "create", name, *at)
    assert key.returncode == 0, key.stderr
    return {"X-API-Key": key.stdout.strip()}


def processes_named(name: str) -> list[int]:
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == name:
                found.append(int(comm.parent.name))
        except OSError:
            continue
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, hostile_site(Path(folder), workers=2).start() as site:
        results = attack(site, {}, daemon="attack-by-hand")
        for name, result in results.items():
            print(f"{result:<30} {name}")
        sys.exit(any(result.startswith("done") for result in results.values()))


if __name__ == "__main__":
    main()
