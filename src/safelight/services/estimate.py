"""Estimates: how long a graph will take on a kind of device, from the seconds that it, or its calls, took before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight.core.node import Catalogue
from safelight.db import run_time as rows
from safelight.db.transaction import Transaction
from safelight.graph.cost_key import class_key, cost_keys


@dataclass(frozen=True, slots=True)
class Estimate:
    """In seconds: half of the runs take at most ``p50_s``, nine of ten at most ``p90_s``. ``basis``: ``graph`` where
    the same graph ran before, ``nodes`` where all of its nodes did. Nothing of it is assumed to be in the cache."""

    p50_s: float
    p90_s: float
    basis: str


def record(
    tx: Transaction,
    *,
    device: str,
    prompt: Mapping[str, Any],
    targets: Sequence[str],
    catalogue: Catalogue,
    seconds: Mapping[str, float],
    total_s: float,
) -> None:
    """Keep what a job took. ``seconds``: by call id; a call that is missing was in the cache, and then the whole was
    shorter than it is, so that it is not kept."""
    keys = cost_keys(prompt, catalogue, targets)
    times = {keys[call]: took for call, took in seconds.items() if call in keys}
    times |= {class_key(prompt, call): took for call, took in seconds.items() if call in prompt}
    if seconds.keys() >= keys.keys() - {""}:
        times[keys[""]] = total_s
    rows.add(tx.conn, device=device, seconds=times)


def estimate(
    tx: Transaction, *, device: str, prompt: Mapping[str, Any], targets: Sequence[str], catalogue: Catalogue
) -> Estimate | None:
    """``None`` where a part of the graph has never run on this kind of device."""
    keys = cost_keys(prompt, catalogue, targets)
    calls = [call for call in keys if call]
    classes = {call: class_key(prompt, call) for call in calls}
    known = rows.of_keys(tx.conn, device=device, keys={*keys.values(), *classes.values()})
    if whole := known.get(keys[""]):
        return Estimate(percentile(whole, 0.5), percentile(whole, 0.9), "graph")
    times = [known.get(keys[call]) or known.get(classes[call]) for call in calls]
    if not times or not all(times):
        return None
    found = [took for took in times if took]
    return Estimate(sum(percentile(t, 0.5) for t in found), sum(percentile(t, 0.9) for t in found), "nodes")


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least ``part`` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(part * 1000) * len(ordered) // 1000) - 1)]
