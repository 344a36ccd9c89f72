"""A database after years of use: a million assets with five tags each and a million ended jobs, all of one user.

Seeded: the same arguments produce the same rows. They are written directly to the tables, in the form that
``db/asset.py`` and ``db/job.py`` use, because a million real uploads would take days. One user owns all of them, which
is the worst case: lists of another user read none of these rows.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert

from safelight.core.ids import LOCAL_USER
from safelight.core.metadata_field import words_of
from safelight.db import asset_index, migrate, name_search, sqlite, tables

SEED = 20261126
TAGS_EACH = 5
COMMON_TAGS = ("output", "portrait", "landscape", "draft", "final")
"""Tags of about a half to a twentieth of the assets; the other tags become rarer and rarer."""
RARE_TAGS = tuple(f"project-{number:03}" for number in range(500))
WORDS = tuple(
    """
    amber arch ash aurora bay birch bloom bridge canyon cedar cloud coral crow dawn delta dune dusk echo ember fern
    field fjord flint fog forest frost glade glass grain grove harbor haze heath heron hollow iris island ivory jade
    juniper kelp lagoon lake lantern larch lichen lily linen maple marsh meadow mesa mist moon moss moth nebula
    night oak ocean olive onyx opal orchid otter owl pearl pebble pine plum pond poppy prairie quartz rain raven
    reed reef ridge river robin rose rust sable sage salt sand shade shell shore silk sky slate smoke snow spruce
    star stone storm summit swan thistle thorn tide timber topaz tulip vale velvet violet walnut wave willow wind
    winter wren
    """.split()  # noqa: SIM905
)
_START = datetime(2024, 1, 1, tzinfo=UTC)
_CHUNK = 20_000
_STATES = ("completed", "failed", "cancelled")


def fill(database: Path, *, assets: int, jobs: int, seed: int = SEED) -> None:
    """Create the database file, which must not exist yet."""
    engine = sqlite.create(f"sqlite:///{database}")
    migrate.to_head(engine)
    rng = random.Random(seed)
    with engine.connect() as conn:
        sqlite.run(conn, "PRAGMA synchronous=OFF")  # test data: it can be made again after a crash
        sqlite.run(conn, "PRAGMA cache_size=-262144")
        sqlite.run(conn, "BEGIN")
        owner = {"id": LOCAL_USER, "name": "local", "is_admin": True, "job_counter": jobs, "created_at": _START}
        conn.execute(insert(tables.user), [owner])
        counts: dict[str, int] = {}
        for chunk in _chunks(_assets(rng, assets)):
            _put_assets(conn, chunk, counts)
        rows = [{"owner_id": LOCAL_USER, "tag": tag, "count": count} for tag, count in counts.items()]
        conn.execute(insert(tables.asset_count), rows)
        for chunk in _chunks(_jobs(rng, jobs)):
            _put(conn, tables.job, chunk)
            _put(conn, tables.job_payload, [_payload(row) for row in chunk])
            _put(conn, tables.job_media, [media for row in chunk if (media := _media(row))])
        sqlite.run(conn, "COMMIT")
        sqlite.run(conn, "PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()


def tags(rng: random.Random) -> list[str]:
    """Five different tags: two or three common ones, the others by Zipf's law."""
    common = [tag for place, tag in enumerate(COMMON_TAGS) if rng.random() < 0.5 / (1 + place * 0.8)]
    chosen = dict.fromkeys(common)
    while len(chosen) < TAGS_EACH:
        chosen[RARE_TAGS[min(int(rng.paretovariate(0.7)), len(RARE_TAGS)) - 1]] = None
    return list(chosen)[:TAGS_EACH]


def _assets(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    for seq in range(1, count + 1):
        name = f"{rng.choice(WORDS)}_{rng.choice(WORDS)}_{seq % 100_000:05}_.png"
        created = _START + timedelta(seconds=60 * seq)
        yield {
            "seq": seq,
            "id": f"00000000-0000-4000-8000-{seq:012x}",
            "owner_id": LOCAL_USER,
            "name": name,
            "digest": hashlib.blake2b(seq.to_bytes(8, "big"), digest_size=32).hexdigest(),
            "size": rng.randrange(100_000, 8_000_000),
            "mime_type": "image/png",
            "created_at": created,
            "updated_at": created + timedelta(seconds=rng.randrange(10_000_000)),
            "published": True,
            "search_name": name_search.fold(name),
            "last_access_at": created + timedelta(seconds=rng.randrange(20_000_000)),
            "user_metadata": {"base": rng.choice(("SDXL", "SD1", "Flux"))} if rng.random() < 0.2 else None,
            "tags": tags(rng),
        }


def _put_assets(conn: Connection, rows: list[dict[str, Any]], counts: dict[str, int]) -> None:
    blobs = [{"digest": r["digest"], "size": r["size"], "created_at": r["created_at"], "sha256": None} for r in rows]
    _put(conn, tables.blob, blobs)
    _put(conn, tables.asset, [{name: value for name, value in row.items() if name != "tags"} for row in rows])
    name_search.add(conn, LOCAL_USER, names=[(row["seq"], row["search_name"]) for row in rows])
    _put(conn, tables.asset_tag, [_word("tag", tag, row) for row in rows for tag in row["tags"]])
    fields = [_word("field", word, row) for row in rows for word in words_of(row["user_metadata"] or {})]
    _put(conn, tables.asset_field, fields)
    for row in rows:
        for tag in (asset_index.ALL, *row["tags"]):
            counts[tag] = counts.get(tag, 0) + 1


def _jobs(rng: random.Random, count: int) -> Iterator[dict[str, Any]]:
    for seq in range(1, count + 1):
        created = _START + timedelta(seconds=60 * seq)
        duration_ms = rng.randrange(200, 120_000)
        ended = created + timedelta(milliseconds=duration_ms)
        picture = {"filename": f"{seq:08}_.png", "subfolder": "", "type": "output", "nodeId": "9"}
        state = rng.choices(_STATES, (95, 4, 1))[0]
        error = {"exception_type": "ValueError", "exception_message": "too large"}
        is_done = state == "completed"
        yield {
            "seq": seq,
            "id": f"00000000-0000-4000-9000-{seq:012x}",
            "owner_id": LOCAL_USER,
            "state": state,
            "attempt": 1,
            "number": float(seq),
            "created_at": created,
            "updated_at": ended,
            "started_at": created,
            "ended_at": ended,
            "duration_ms": duration_ms,
            "device_s": duration_ms / 1000,
            "client_id": None,
            "workflow_id": f"workflow-{rng.randrange(1000)}" if rng.random() < 0.7 else None,
            "cancel_requested": state == "cancelled",
            "outputs_count": int(is_done),
            "preview_output": picture | {"mediaType": "images"} if is_done else None,
            "error": error if state == "failed" else None,
            "pool": "",
            "models": None,
        }


def _payload(job: Mapping[str, Any]) -> dict[str, Any]:
    prompt = {"9": {"class_type": "PreviewAny", "inputs": {"source": job["seq"]}}}
    return {"job_seq": job["seq"], "targets": ["9"], "extra_data": {}, "prompt": prompt}


def _media(job: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = "video" if job["seq"] % 20 == 0 else "image"
    return {"owner_id": LOCAL_USER, "kind": kind, "job_seq": job["seq"]} if job["outputs_count"] else None


def _word(column: str, word: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {"owner_id": LOCAL_USER, column: word, "asset_seq": row["seq"]}


def _put(conn: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        conn.execute(insert(table), rows)


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk
