"""Which engine kinds can run a prompt: those that have all its node types, and accept its inputs."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.errors import InvalidPrompt
from safelight.graph import validation_errors
from safelight.graph.prompt_format import Limits, read_nodes
from safelight.graph.validate import ValidPrompt
from safelight.services.catalogue import LiveCatalogue
from safelight.services.placement import missing_types, node_types


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """A valid prompt, and the engine kinds that can run it as it is."""

    valid: ValidPrompt
    engines: frozenset[EngineKind]


async def candidates(
    prompt: Any, catalogue: LiveCatalogue, *, requested: EngineKind | None, limits: Limits
) -> Sequence[EngineKind]:
    """The kinds that have all node types of the prompt, the preferred first. Waits for kinds whose nodes are not known
    yet if no other has them. ``requested``: the only kind that may run it.

    Raises :class:`InvalidPrompt` if there are none, with what each kind lacks, and :class:`Unavailable`.
    """
    await catalogue.wait_known(requested)
    types = node_types(prompt)
    kinds = catalogue.engines if requested is None else (requested,)
    able = _able(types, catalogue, kinds)
    if not able:
        for kind in kinds:
            await catalogue.wait_known(kind)
        able = _able(types, catalogue, kinds)
    if not able:
        _refuse(prompt, types, catalogue, kinds, limits)
    return able


async def choose(kinds: Sequence[EngineKind], validate: Callable[[EngineKind], Awaitable[ValidPrompt]]) -> EngineChoice:
    """Validate the prompt for each of ``kinds``, the preferred first. The kinds that accept all outputs can run it; if
    none does, those that accept as many as the first that accepts any.

    Raises the error of the preferred kind if no kind accepts any output.
    """
    accepted: dict[EngineKind, ValidPrompt] = {}
    errors: list[InvalidPrompt] = []
    for kind in kinds:
        try:
            accepted[kind] = await validate(kind)
        except InvalidPrompt as error:
            errors.append(error)
    if not accepted:
        raise errors[0]
    best = next((kind for kind, valid in accepted.items() if not valid.node_errors), next(iter(accepted)))
    # Kinds that read a literal as another type would run another prompt.
    same = (kind for kind, valid in accepted.items() if valid == accepted[best])
    return EngineChoice(accepted[best], frozenset(same))


def without_own(choice: EngineChoice, reasons: Mapping[str, str], catalogue: LiveCatalogue) -> EngineChoice:
    """The choice without Safelight's own engine, which cannot load some models for these ``reasons``.

    Raises :class:`InvalidPrompt` with them if no other kind can run the prompt.
    """
    if not reasons:
        return choice
    rest = choice.engines - {OWN}
    if not rest:
        types = node_types(choice.valid.prompt)
        missing = {str(kind): missing_types(types, catalogue.of(kind)) for kind in catalogue.engines if kind != OWN}
        lacking = {kind: absent for kind, absent in missing.items() if absent}
        raise validation_errors.no_engine(lacking, {OWN: "; ".join(reasons.values())})
    return replace(choice, engines=rest)


def _able(types: Collection[str], catalogue: LiveCatalogue, kinds: Sequence[EngineKind]) -> Sequence[EngineKind]:
    unknown = catalogue.unknown
    return [kind for kind in kinds if kind not in unknown and not missing_types(types, catalogue.of(kind))]


def _refuse(
    prompt: Any, types: Collection[str], catalogue: LiveCatalogue, kinds: Sequence[EngineKind], limits: Limits
) -> None:
    nodes = catalogue.current if len(kinds) > 1 else catalogue.of(kinds[0])
    try:
        read_nodes(prompt, nodes, limits=limits)
    except InvalidPrompt as error:
        raise _with_sources(error, catalogue) from None
    raise validation_errors.no_engine({kind: missing_types(types, catalogue.of(kind)) for kind in kinds}, {})


def _with_sources(error: InvalidPrompt, catalogue: LiveCatalogue) -> InvalidPrompt:
    """The error of an unknown node with the engines that have it."""
    node = error.error.get("extra_info", {}).get("class_type")
    sources = catalogue.engines_with(node) if isinstance(node, str) else ()
    if not sources:
        return error
    details = f"{error.error['details']}; the engine {' and '.join(sources)} has it"
    return InvalidPrompt({**error.error, "details": details}, error.node_errors)
