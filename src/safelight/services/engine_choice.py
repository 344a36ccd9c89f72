"""Which engine kinds can run a prompt: those that have all its node types, and accept its inputs."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.errors import InvalidPrompt
from safelight.core.pack import PackStatus, reason_for_users
from safelight.graph import validation_errors
from safelight.graph.prompt_format import Limits, read_nodes
from safelight.graph.validate import ValidPrompt
from safelight.services.catalogue import LiveCatalogue
from safelight.services.placement import missing_types, node_types

_SHOWN_PACKS = 3


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """A valid prompt, and the engine kinds that can run it as it is."""

    valid: ValidPrompt
    engines: frozenset[EngineKind]


async def candidates(
    prompt: Any,
    catalogue: LiveCatalogue,
    *,
    requested: EngineKind | None,
    packs: Callable[[], Iterable[PackStatus]],
    limits: Limits,
) -> Sequence[EngineKind]:
    """The kinds that have all node types of the prompt, the preferred first. Waits for kinds whose nodes are not known
    yet if no other has them. ``requested``: the only kind that may run it. ``packs``: the node packs of this server.

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
        _refuse(prompt, types, catalogue, kinds, packs(), limits)
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
    prompt: Any,
    types: Collection[str],
    catalogue: LiveCatalogue,
    kinds: Sequence[EngineKind],
    packs: Iterable[PackStatus],
    limits: Limits,
) -> None:
    nodes = catalogue.current if len(kinds) > 1 else catalogue.of(kinds[0])
    try:
        read_nodes(prompt, nodes, limits=limits)
    except InvalidPrompt as error:
        raise _with_sources(error, catalogue, packs) from None
    raise validation_errors.no_engine({kind: missing_types(types, catalogue.of(kind)) for kind in kinds}, {})


def _with_sources(error: InvalidPrompt, catalogue: LiveCatalogue, packs: Iterable[PackStatus]) -> InvalidPrompt:
    """The error of an unknown node with the engines that have it, or with the packs that may have it."""
    node = error.error.get("extra_info", {}).get("class_type")
    if not isinstance(node, str):
        return error
    if sources := catalogue.engines_with(node):
        hint = f"the engine {' and '.join(sources)} has it"
    elif failures := _failures(node, packs):
        hint = f"it may be in a node pack that could not be loaded here: {', '.join(failures[:_SHOWN_PACKS])}"
    else:
        return error
    return InvalidPrompt({**error.error, "details": f"{error.error['details']}; {hint}"}, error.node_errors)


def _failures(node: str, packs: Iterable[PackStatus]) -> Sequence[str]:
    """What could not be loaded and why: the node itself if it is among them, else whole packs."""
    failures = {subject: reason for pack in packs for subject, reason in pack.failures.items()}
    own = {subject: reason for subject, reason in failures.items() if subject.endswith(f": {node}")}
    whole = {subject: reason for subject, reason in failures.items() if ": " not in subject}
    return [f"{subject} ({reason_for_users(reason)})" for subject, reason in sorted((own or whole).items())]
