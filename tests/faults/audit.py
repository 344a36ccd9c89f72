"""The promises of DESIGN.md, checked in the database, the blob store and the API of a site."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3
from tests.faults.site import TERMINAL, Site


def audit(site: Site) -> None:
    """Check everything, once no job waits or runs."""
    one_terminal_state(site)
    outputs_are_published_once(site)
    blobs_are_whole(site.folder / "blobs")
    no_leftovers(site)


def one_terminal_state(site: Site) -> None:
    """Promise 2, by the state changes that the database recorded."""
    states: dict[str, tuple[str, int]] = dict.fromkeys(
        (job for (job,) in site.rows("SELECT id FROM job")), ("queued", 0)
    )
    for job, was, state, attempt in site.rows("SELECT id, was, state, attempt FROM witness ORDER BY seq"):
        before, attempts = states[job]
        assert was == before, f"{job} was {before}, and then {was}"
        assert was not in TERMINAL, f"{job} was {was} and became {state}"
        assert attempt == attempts + (state == "running"), f"{job}: attempt {attempts} became {attempt} when {state}"
        states[job] = (state, attempt)
    assert {job: state for job, (state, _) in states.items() if state not in TERMINAL} == {}
    reasons = site.rows("SELECT id FROM job WHERE state = 'failed' AND error IS NULL")
    assert reasons == [], "a failed job says why"


def outputs_are_published_once(site: Site) -> None:
    """Promise 3: a completed job has the files of its last attempt, each once; nothing of another attempt is left."""
    assert site.rows("SELECT filename FROM asset WHERE NOT published") == []
    stale = site.rows("SELECT filename FROM asset JOIN job ON job.id = job_id WHERE asset.attempt <> job.attempt")
    assert stale == [], "files of a lost attempt"
    named = Counter(site.rows("SELECT folder, subfolder, filename FROM asset WHERE filename IS NOT NULL"))
    assert [name for name, number in named.items() if number > 1] == []
    assert (
        site.rows(
            "SELECT job_seq FROM job_output JOIN job ON job.seq = job_seq WHERE job_output.attempt <> job.attempt"
        )
        == []
    )


def files_of(job: Mapping[str, Any]) -> list[str]:
    """Return the file names of a job's outputs."""
    return [file["filename"] for ui in (job.get("outputs") or {}).values() for file in ui.get("files", ())]


def has_its_files(site: Site, job: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    """Check a job's outputs by node id: two files with each text, none missing, none twice, bytes as written."""
    shown: dict[str, list[bytes]] = defaultdict(list)
    for node, ui in job["outputs"].items():
        shown[node] += [site.view(file["filename"], folder="output").body for file in ui["files"]]
    expected = {node: [f"{text} {i}".encode() for i in range(2)] for node, text in texts.items()}
    assert dict(shown) == expected
    rows = site.rows("SELECT filename FROM asset WHERE job_id = ? AND published ORDER BY filename", job["id"])
    assert [name for (name,) in rows] == sorted(files_of(job))


def blobs_are_whole(root: Path) -> None:
    """Promise 6: the bytes of every blob match its name."""
    for path in (root / "b3").rglob("*"):
        if path.is_file():
            assert blake3(path.read_bytes()).hexdigest() == path.name


def no_leftovers(site: Site) -> None:
    """Temporary files are gone; staging folders that are kept for the next job are empty."""
    assert list((site.folder / "blobs" / "incoming").iterdir()) == []
    assert [path for path in (site.folder / "staging").rglob("*") if path.is_file()] == []
