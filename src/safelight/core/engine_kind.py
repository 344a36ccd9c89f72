"""Engine kinds: which programs run jobs. A slot starts engines of one kind, and a job names the kinds that can run it.

``safelight`` is Safelight's own engine. Every other kind is a ComfyUI on this machine or on the machines of a cluster:
``comfyui``, or ``comfyui-`` and a name of the operator's, so that several can run side by side.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NewType

from safelight.core.errors import Invalid

EngineKind = NewType("EngineKind", str)

OWN = EngineKind("safelight")
"""Safelight's own engine."""
ONLY_OWN = frozenset({OWN})
COMFYUI = "comfyui"


def as_text(kinds: Iterable[EngineKind]) -> str:
    """A set of kinds as one text, the same for equal sets."""
    return ",".join(sorted(kinds))


def from_text(text: str) -> frozenset[EngineKind]:
    return frozenset(EngineKind(name) for name in text.split(",") if name)


_NAME = re.compile(r"safelight|comfyui(-[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """An engine kind of this server. ``root``: the folder of the ComfyUI, empty for the own engine. ``python``: the
    interpreter that runs it; empty: the one that is found in ``root``. ``arguments``: of its ``main.py``. ``workers``:
    its number of slots."""

    kind: EngineKind
    root: str = ""
    python: str = ""
    arguments: tuple[str, ...] = ()
    workers: int = 1

    @property
    def is_own(self) -> bool:
        return self.kind == OWN


def read_engines(
    entries: Sequence[str], counts: Sequence[str], arguments: Sequence[str] = (), *, workers: int
) -> Sequence[EngineSpec]:
    """The engines of the settings: ``entries`` are ``safelight`` or ``comfyui=/opt/ComfyUI[:/opt/python]``; ``counts``
    are ``comfyui=2``, the number of workers of a kind that has not the usual ``workers``; ``arguments`` are
    ``comfyui=--lowvram --fast``.

    Raises :class:`Invalid`.
    """
    specs = [_read_entry(entry, workers=workers) for entry in entries]
    by_kind = {spec.kind: spec for spec in specs}
    if not specs:
        raise Invalid("no engine is named, so no job could run")
    if len(by_kind) < len(specs):
        raise Invalid(f"{', '.join(entries)!r} names an engine twice; name a second ComfyUI 'comfyui-two=/path'")
    for kind, number in _read_counts(counts, by_kind).items():
        by_kind[kind] = replace(by_kind[kind], workers=number)
    for kind, words in _read_arguments(arguments, by_kind).items():
        by_kind[kind] = replace(by_kind[kind], arguments=words)
    return list(by_kind.values())


def preferred_first(kinds: Iterable[EngineKind], preference: Sequence[str]) -> Sequence[EngineKind]:
    """The kinds in the order in which jobs try them: those of ``preference``, then the own engine, then the others.

    Raises :class:`Invalid` for a preference that is not a kind of this server.
    """
    known = list(kinds)
    for name in preference:
        if name not in known:
            raise Invalid(f"there is no engine {name!r} (there are: {', '.join(known)})")
    named = [kind for name in preference for kind in known if kind == name]
    rest = [kind for kind in known if kind not in named]
    return [*named, *sorted(rest, key=lambda kind: kind != OWN)]


def _read_entry(entry: str, *, workers: int) -> EngineSpec:
    name, _, place = entry.partition("=")
    root, _, python = place.partition(":")
    if not _NAME.fullmatch(name):
        raise Invalid(f"invalid engine {entry!r}: write 'safelight', or 'comfyui=/path' or 'comfyui-name=/path'")
    if (name == OWN) != (not root):
        raise Invalid(f"invalid engine {entry!r}: {'it has no path' if name == OWN else 'write its path after ='}")
    return EngineSpec(kind=EngineKind(name), root=root, python=python, workers=workers)


def _read_arguments(
    entries: Sequence[str], kinds: Mapping[EngineKind, EngineSpec]
) -> Mapping[EngineKind, tuple[str, ...]]:
    found = {}
    for entry in entries:
        name, _, words = entry.partition("=")
        if name not in kinds or name == OWN:
            raise Invalid(f"{entry!r} has arguments for {name!r}, which is no ComfyUI of this server")
        try:
            found[EngineKind(name)] = tuple(shlex.split(words))
        except ValueError as error:
            raise Invalid(f"the arguments in {entry!r} cannot be read: {error}") from None
    return found


def _read_counts(counts: Sequence[str], kinds: Mapping[EngineKind, EngineSpec]) -> Mapping[EngineKind, int]:
    numbers = {}
    for entry in counts:
        name, _, number = entry.partition("=")
        if name not in kinds:
            raise Invalid(f"{entry!r} counts the workers of {name!r}, which is no engine of this server")
        if not number.isdecimal() or int(number) < 1:
            raise Invalid(f"{entry!r} is not of the form 'comfyui=2'")
        numbers[EngineKind(name)] = int(number)
    return numbers
