"""Submitting a job: a draft comes in, an accepted job goes out. Every API that accepts prompts goes through here.

:meth:`Submissions.prepare` checks and routes the draft, which may wait for workers and use the CPU; it changes nothing.
:meth:`Submissions.accept` inserts the job in one transaction, and checks there again that the prompt's files exist.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Protocol, TypeVar

from safelight.core.asset import Asset
from safelight.core.clock import Clock
from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.errors import Conflict, Invalid, Unavailable
from safelight.core.ids import AssetId, ClientId, UserId
from safelight.core.job import JobSummary
from safelight.core.node import Catalogue
from safelight.core.pack import PackStatus
from safelight.core.pool import Pool, SizeClass
from safelight.core.trace_context import current_traceparent
from safelight.core.user import Principal
from safelight.core.worker import SlotId
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.graph.prompt_format import Limits, check_size
from safelight.graph.validate import NodeValidator, ValidPrompt, needs_worker, validate
from safelight.services import job as jobs
from safelight.services import named_files
from safelight.services.catalogue import LiveCatalogue
from safelight.services.engine_choice import EngineChoice, candidates, choose, without_own
from safelight.services.job import SubmitJob
from safelight.services.job_secrets import secrets_in
from safelight.services.model import ModelFile, ModelFiles
from safelight.services.placement import Placement, place, requested_engine
from safelight.services.prompt_files import INPUT_FOLDERS, folders_named, may_name_files, possible_file_names

T = TypeVar("T")

LONG_PROMPT = 200
"""Nodes above which validation is CPU-heavy."""


class RemoteValidation(Protocol):
    """``VALIDATE_INPUTS`` of nodes, which only a worker can run."""

    @property
    def is_here(self) -> bool:
        """Whether this server has the workers; secrets of a job reach them only then."""
        ...

    def packs(self) -> Mapping[SlotId, Sequence[PackStatus]]:
        """The node packs of each engine that is ready."""
        ...

    async def validate_inputs(
        self,
        owner_id: UserId,
        engine: EngineKind,
        *,
        prompt: Mapping[str, Any],
        targets: Sequence[str],
        files: Mapping[str, Asset],
    ) -> Mapping[str, str | None]:
        """The violations by call id, each with its reason if the node gave one; empty where no worker of that engine
        kind answers soon."""
        ...

    async def examine_models(self, files: Sequence[ModelFile]) -> Mapping[str, str]:
        """By name, why Safelight's own engine cannot load a model file. Only a worker can tell; what none tells soon is
        left out."""
        ...


class CpuQueue(Protocol):
    """Runs CPU work without blocking the event loop."""

    async def run(self, owner_id: UserId | None, work: Callable[[], T], *, is_heavy: bool) -> T:
        """Return what ``work`` returns. Heavy work of one user waits for that user's earlier heavy work."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRules:
    """``max_names``: different texts of one prompt that are looked up as file names; ``pools``: those that a client
    may request; ``size_classes``: pools by the bytes of the models that a prompt names."""

    limits: Limits = field(default_factory=Limits)
    max_names: int = 20_000
    pools: Set[Pool] = frozenset()
    size_classes: Sequence[SizeClass] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A job as its client describes it; nothing of it is checked but the types of its fields.

    ``prompt``: the graph, an object (or the list that some clients send for an empty one). ``targets``: the outputs to
    make; ``None`` for all. ``number``: jobs with lower numbers run first; ``front``: before the owner's other jobs.
    ``is_large``: the request was so large that the checks are CPU-heavy however few nodes there are. ``assets``: those
    that the client named by id.
    """

    prompt: Any
    targets: Sequence[str] | None = None
    extra_data: Mapping[str, Any] = field(default_factory=dict)
    client_id: ClientId | None = None
    job_id: str | None = None
    number: float | None = None
    front: bool = False
    workflow_id: str | None = None
    is_large: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    assets: Collection[AssetId] = ()
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A draft that passed every check. ``files``: names in the prompt that are files of the owner; ``node_errors``:
    why some outputs were dropped."""

    command: SubmitJob
    files: Set[str]
    node_errors: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """``ahead``: how many of the owner's jobs were queued before this one."""

    job: JobSummary
    node_errors: Mapping[str, Any]
    ahead: int


class Submissions:
    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        catalogue: LiveCatalogue,
        models: ModelFiles,
        workers: RemoteValidation,
        cpu: CpuQueue,
        rules: SubmissionRules,
    ) -> None:
        self._db = db
        self._clock = clock
        self._catalogue = catalogue
        self._models = models
        self._workers = workers
        self._cpu = cpu
        self._rules = rules

    async def prepare(self, who: Principal, draft: Draft) -> Prepared:
        """Raises :class:`~safelight.core.errors.InvalidPrompt` for a prompt of which no output can run on any engine,
        :class:`~safelight.core.errors.Invalid` for an unknown pool or engine, and :class:`Unavailable` while no node is
        known, or for a draft with secrets where the workers belong to another server that cannot be reached."""
        if secrets_in(draft.extra_data) and not self._workers.is_here:
            raise Unavailable("this job's keys need the server that has the workers; try again in a few seconds")
        check_size(len(draft.prompt), self._rules.limits)
        is_heavy = draft.is_large or len(draft.prompt) > LONG_PROMPT
        engines = await candidates(
            draft.prompt,
            self._catalogue,
            requested=requested_engine(draft.extra_data, self._catalogue.engines),
            packs=lambda: chain.from_iterable(self._workers.packs().values()),
            limits=self._rules.limits,
        )
        folders = folders_named(draft.prompt, self._catalogue.current)
        files = await self._find_files(who, draft.prompt, self._catalogue.current, folders, is_heavy=is_heavy)
        choice = await choose(engines, lambda engine: self._validate(who, draft, engine, files, is_heavy=is_heavy))
        choice = await self._with_usable_models(choice)
        valid = choice.valid
        placement = await self._place(who, valid.prompt, draft.extra_data, choice.engines, is_heavy=is_heavy)
        command = SubmitJob(
            prompt=valid.prompt,
            targets=valid.targets,
            extra_data=_with_folders(draft.extra_data, folders),
            client_id=draft.client_id,
            job_id=draft.job_id,
            number=draft.number,
            front=draft.front,
            workflow_id=draft.workflow_id,
            placement=placement,
            labels=draft.labels,
            assets=draft.assets,
            idempotency_key=draft.idempotency_key,
        )
        return Prepared(command=command, files=files.keys(), node_errors=valid.node_errors)

    async def accept(self, who: Principal, prepared: Prepared) -> Accepted:
        """Insert the job. Raises what :func:`safelight.services.job.submit` raises, and :class:`Conflict` for a file
        that was removed since :meth:`prepare`."""
        now = self._clock.now()
        command = replace(prepared.command, traceparent=current_traceparent.get())

        def insert(tx: Transaction) -> tuple[JobSummary, int]:
            if prepared.files:
                removed = prepared.files - named_files.files_named(tx, who, names=prepared.files).keys()
                if removed:
                    raise Conflict(f"the file {min(removed)!r} was removed meanwhile; submit the prompt again")
            ahead = jobs.waiting(tx, who)
            return jobs.submit(tx, who, command=command, now=now), ahead

        job, ahead = await self._db.write(insert)
        return Accepted(job=job, node_errors=prepared.node_errors, ahead=ahead)

    async def _with_usable_models(self, choice: EngineChoice) -> EngineChoice:
        """The choice without our own engine if it cannot load a model of the prompt. A ComfyUI says of no model that it
        cannot load it. Where there is no other engine, the run tells."""
        if OWN not in choice.engines or len(self._catalogue.engines) == 1:
            return choice
        reasons = await self._workers.examine_models(self._catalogue.models_of(OWN, choice.valid.prompt))
        return without_own(choice, reasons, self._catalogue)

    async def _find_files(
        self, who: Principal, prompt: Any, catalogue: Catalogue, folders: Set[str], *, is_heavy: bool
    ) -> Mapping[str, Asset]:
        """The owner's files that the prompt names, and those in the ``folders`` that it names; looked up only for nodes
        that take files. Raises :class:`Invalid` for folders with too many files."""
        if not may_name_files(prompt, catalogue):
            return {}
        most = self._rules.max_names
        names = await self._cpu.run(who.user_id, lambda: possible_file_names(prompt, at_most=most), is_heavy=is_heavy)
        named = await self._db.read(lambda tx: named_files.files_named(tx, who, names=names))
        if not folders:
            return named
        most = named_files.MOST_IN_FOLDERS
        inside = await self._db.read(
            lambda tx: named_files.files_in_folders(tx, who, folders=folders, at_most=most + 1)
        )
        if len(inside) > most:
            raise Invalid(f"the folders {', '.join(sorted(folders))} have more than {most} files")
        return {**inside, **named}

    async def _validate(
        self, who: Principal, draft: Draft, engine: EngineKind, files: Mapping[str, Asset], *, is_heavy: bool
    ) -> ValidPrompt:
        """Validate here, and then again with what the nodes' own code says in a worker, if any node has such code."""
        catalogue = self._catalogue.of(engine)
        folders = {f"{name.partition('/')[0]}/" for name in files if "/" in name}

        async def check(node_validator: NodeValidator | None) -> ValidPrompt:
            return await self._cpu.run(
                who.user_id,
                lambda: validate(
                    draft.prompt,
                    catalogue,
                    targets=draft.targets,
                    file_exists=lambda name: name in files or name in folders,
                    node_validator=node_validator,
                    limits=self._rules.limits,
                ),
                is_heavy=is_heavy,
            )

        valid = await check(None)
        if not any(needs_worker(catalogue[str(node["class_type"])]) for node in valid.prompt.values()):
            return valid
        violations = await self._workers.validate_inputs(
            who.user_id, engine, prompt=valid.prompt, targets=valid.targets, files=files
        )
        return await check(lambda call_id, *_: (violations[call_id] or False) if call_id in violations else True)

    async def _place(
        self,
        who: Principal,
        prompt: Mapping[str, Any],
        extra_data: Mapping[str, Any],
        engines: frozenset[EngineKind],
        *,
        is_heavy: bool,
    ) -> Placement:
        rules = self._rules

        def work() -> Placement:
            return place(
                prompt,
                extra_data,
                models=self._models,
                pools=rules.pools,
                classes=rules.size_classes,
                engines=engines,
            )

        if rules.size_classes and not is_heavy:  # reads sizes from the disk
            return await asyncio.to_thread(work)
        return await self._cpu.run(who.user_id, work, is_heavy=is_heavy)


def _with_folders(extra_data: Mapping[str, Any], folders: Set[str]) -> Mapping[str, Any]:
    """The extra data with the folders whose files the job needs."""
    others = {key: value for key, value in extra_data.items() if key != INPUT_FOLDERS}
    return others | {INPUT_FOLDERS: sorted(folders)} if folders else others
