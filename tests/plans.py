"""The query plans of both databases."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from safelight.db.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Step:
    """``text``: the database's description; ``table``: the table that is scanned completely, if any; ``index``: the
    index that is used."""

    text: str
    table: str = ""
    index: str = ""


def plans(tx: Transaction, read: Callable[[], object], *, is_sorting_dear: bool = False) -> list[list[Step]]:
    """The steps of each ``SELECT`` that ``read`` sends.

    PostgreSQL, which reads small tables whole whatever indices there are, is asked for the plan that it would use if
    that were dear: what it then still reads whole, no index could find. With ``is_sorting_dear``, which a few thousand
    rows are too few for, it also walks along an index rather than sort.
    """
    if tx.conn.dialect.name == "sqlite":
        return [_sqlite_steps(tx, text, given) for text, given in _sent(tx, read)]
    sent = _sent(tx, read)
    dear = ["enable_seqscan", "enable_hashjoin", "enable_mergejoin", *(["enable_sort"] if is_sorting_dear else [])]
    for word in dear:
        tx.conn.exec_driver_sql(f"SET LOCAL {word} = off")
    found = [_postgres_steps(tx, text, given) for text, given in sent]
    for word in dear:
        tx.conn.exec_driver_sql(f"SET LOCAL {word} = on")
    return found


def _sent(tx: Transaction, read: Callable[[], object]) -> list[tuple[str, Any]]:
    sent: list[tuple[str, Any]] = []
    with _heard(tx, sent):
        read()
    return [(text, given) for text, given in sent if text.startswith(("SELECT", "WITH"))]


_NO_TABLES = ("SCAN anon_", "SCAN (subquery-", "SCAN CONSTANT ROW", "SCAN asset_name VIRTUAL")
"""Not full scans: the result of an indexed subquery is scanned, and FTS5 calls its search a scan."""


@contextmanager
def _heard(tx: Transaction, sent: list[tuple[str, Any]]) -> Iterator[None]:
    def hear(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        sent.append((statement, parameters))

    event.listen(tx.conn, "before_cursor_execute", hear)
    try:
        yield
    finally:
        event.remove(tx.conn, "before_cursor_execute", hear)


def _sqlite_steps(tx: Transaction, statement: str, given: Any) -> list[Step]:
    steps = []
    for row in tx.conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given):
        text = str(row[3])
        words = text.split()
        whole = words[1] if words[0] == "SCAN" and not text.startswith(_NO_TABLES) else ""
        index = words[words.index("INDEX") + 1] if "INDEX" in words and words[0] == "SEARCH" else ""
        steps.append(Step(text, whole, index))
    return steps


def _postgres_steps(tx: Transaction, statement: str, given: Any) -> list[Step]:
    told = tx.conn.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", given).scalar_one()
    plan = json.loads(told) if isinstance(told, str) else told
    return list(_nodes(plan[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[Step]:
    kind = node["Node Type"]
    index = node.get("Index Name", "") if "Index Cond" in node else ""
    whole = node.get("Relation Name", "") if kind == "Seq Scan" or ("Index Name" in node and not index) else ""
    yield Step(f"{kind} {json.dumps({key: node[key] for key in node if key != 'Plans'})}", whole, index)
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)
