"""Where a job may run: on which engine kinds, and in which pool.

The pool is the one that its client requests, or the size class of the models that its prompt names. The engine kinds
are those that have all its nodes and accept its inputs (``services/submission.py`` validates with each), or the one
that its client requests.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight.core.engine_kind import ONLY_OWN, EngineKind
from safelight.core.errors import Invalid
from safelight.core.node import Catalogue
from safelight.core.pool import ANY, Pool, SizeClass, class_of
from safelight.services.model import ModelFiles
from safelight.services.prompt_files import strings_of


@dataclass(frozen=True, slots=True)
class Placement:
    """``models``: the model files that the job needs, by the names that its prompt uses. ``engines``: the engine kinds
    that can run it."""

    pool: Pool = ANY
    models: Sequence[str] = ()
    engines: frozenset[EngineKind] = ONLY_OWN


ANYWHERE = Placement()


def place(
    prompt: Mapping[str, Any],
    extra_data: Mapping[str, Any],
    *,
    models: ModelFiles,
    pools: Collection[Pool],
    classes: Sequence[SizeClass],
    engines: frozenset[EngineKind] = ONLY_OWN,
) -> Placement:
    """Choose the pool: ``extra_data["pool"]``, else by the total size of the models that the prompt names. With
    ``classes`` it blocks: it reads the sizes from the disk.

    Raises :class:`Invalid` for a pool that is not in ``pools``.
    """
    named = models.find(set(strings_of(prompt)))
    names = sorted(named)
    requested = extra_data.get("pool")
    if requested is not None:
        if requested not in pools:
            valid = ", ".join(sorted(pools)) or "none"
            raise Invalid(f"extra_data.pool is {requested!r}, which is not a pool of this server (valid: {valid})")
        return Placement(Pool(requested), names, engines)
    if not classes or not named:
        return Placement(ANY, names, engines)
    return Placement(class_of(sum(file.size() for file in named.values()), classes), names, engines)


def requested_engine(extra_data: Mapping[str, Any], engines: Sequence[EngineKind]) -> EngineKind | None:
    """The engine kind that the client requests with ``extra_data["engine"]``; ``None`` if it requests none.

    Raises :class:`Invalid` for a kind that is not in ``engines``.
    """
    requested = extra_data.get("engine")
    if requested is None:
        return None
    for engine in engines:
        if requested == engine:
            return engine
    valid = ", ".join(engines)
    raise Invalid(f"extra_data.engine is {requested!r}, which is not an engine of this server (valid: {valid})")


def node_types(prompt: Any) -> Collection[str]:
    """The node types that a prompt names; empty for anything that is not a prompt."""
    if not isinstance(prompt, Mapping):
        return set()
    types = (node.get("class_type") for node in prompt.values() if isinstance(node, Mapping))
    return {each for each in types if isinstance(each, str)}


def missing_types(types: Collection[str], catalogue: Catalogue) -> Sequence[str]:
    """The node types that the catalogue does not have, sorted."""
    return sorted(each for each in types if each not in catalogue)
