"""Which slots may run a job: those whose engine is of a kind that can run it, and that have the label of its pool.

A job's pool is the one that its client requests, else the *size class* of its models, else none: any slot may run it.
Its engine kinds follow from its nodes and models (``services/placement.py``).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NewType

from safelight.core.engine_kind import ONLY_OWN, OWN, EngineKind, as_text
from safelight.core.errors import Invalid
from safelight.core.ids import UserId

Pool = NewType("Pool", str)
"""A label that a slot must have to run a job."""

ANY = Pool("")
"""The pool of a job that any slot may run."""


class Requirements(NamedTuple):
    """What a job requires of a slot: a label, and an engine of one of these kinds."""

    pool: Pool = ANY
    engines: frozenset[EngineKind] = ONLY_OWN


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a slot has: its labels, and the kind of its engines."""

    labels: frozenset[Pool] = frozenset()
    engine: EngineKind = OWN


class QueueKey(NamedTuple):
    """The queue of one owner's jobs with the same requirements: they start in order, independently of the owner's other
    queues."""

    owner_id: UserId
    pool: Pool = ANY
    engines: frozenset[EngineKind] = ONLY_OWN

    @property
    def requirements(self) -> Requirements:
        return Requirements(self.pool, self.engines)


@dataclass(frozen=True, slots=True)
class SizeClass:
    """Jobs whose models take ``min_bytes`` or more belong to ``pool``."""

    min_bytes: int
    pool: Pool


def fits(required: Requirements, has: Capabilities) -> bool:
    """Whether a slot that ``has`` these capabilities may run a job with these requirements."""
    return has.engine in required.engines and (required.pool == ANY or required.pool in has.labels)


def narrowness(required: Requirements) -> tuple[bool, int, str, str]:
    """Sorts requirements: greater for those that fewer slots meet."""
    return required.pool != ANY, -len(required.engines), required.pool, as_text(required.engines)


def class_of(model_bytes: int, classes: Sequence[SizeClass]) -> Pool:
    """The pool of the largest class that the size of the models reaches; :data:`ANY` below the smallest."""
    reached = [one for one in classes if model_bytes >= one.min_bytes]
    return max(reached, key=lambda one: one.min_bytes).pool if reached else ANY


_LABEL = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


def read_labels(entries: Sequence[str], *, slots: int) -> Sequence[frozenset[Pool]]:
    """The labels of each of ``slots``, in order: ``large+fast=2`` gives two of them both labels; the rest has none.

    Raises :class:`Invalid`.
    """
    labels: list[frozenset[Pool]] = []
    for entry in entries:
        names, number = _split(entry, example="large=2")
        if number < 1:
            raise Invalid(f"{entry!r} must give labels to at least one worker")
        labels += [frozenset(_label(name) for name in names.split("+"))] * number
    if len(labels) > slots:
        raise Invalid(f"{', '.join(entries)!r} gives labels to {len(labels)} workers, but there are only {slots}")
    return labels + [frozenset[Pool]()] * (slots - len(labels))


def read_classes(entries: Sequence[str], *, pools: Collection[Pool]) -> Sequence[SizeClass]:
    """``large=17179869184``: models of that many bytes and more. Raises :class:`Invalid`."""
    classes = []
    for entry in entries:
        name, min_bytes = _split(entry, example="large=17179869184")
        if (pool := _label(name)) not in pools:
            raise Invalid(f"{entry!r}: no worker has the label {name!r}, so these jobs would wait for ever")
        classes.append(SizeClass(min_bytes, pool))
    return classes


def read_limits(entries: Sequence[str], *, pools: Collection[Pool]) -> Mapping[Pool, float]:
    """``large=7200``: seconds for the jobs of a pool. Raises :class:`Invalid`."""
    limits = {}
    for entry in entries:
        name, seconds = _split(entry, example="large=7200")
        if (pool := _label(name)) not in pools:
            raise Invalid(f"{entry!r}: no worker has the label {name!r}")
        limits[pool] = float(seconds)
    return limits


def _split(entry: str, *, example: str) -> tuple[str, int]:
    name, _, number = entry.partition("=")
    if not number.isdecimal():
        raise Invalid(f"{entry!r} is not of the form {example!r}")
    return name, int(number)


def _label(name: str) -> Pool:
    if not _LABEL.fullmatch(name):
        raise Invalid(f"invalid label {name!r}: use 1 to 63 of a-z 0-9 . _ -, with a letter or digit at both ends")
    return Pool(name)
