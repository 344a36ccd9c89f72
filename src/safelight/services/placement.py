"""Where a job may run: the pool that its client requests, or the size class of the models that its prompt names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight.core.errors import Invalid
from safelight.core.pool import ANY, Pool, SizeClass, class_of
from safelight.services.model import ModelFiles
from safelight.services.prompt_files import strings_of


@dataclass(frozen=True, slots=True)
class Placement:
    """``models``: the model files that the job needs, by the names that its prompt uses."""

    pool: Pool = ANY
    models: Sequence[str] = ()


ANYWHERE = Placement()


def place(
    prompt: Mapping[str, Any],
    extra_data: Mapping[str, Any],
    *,
    models: ModelFiles,
    pools: Collection[Pool],
    classes: Sequence[SizeClass],
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
        return Placement(Pool(requested), names)
    if not classes or not named:
        return Placement(ANY, names)
    return Placement(class_of(sum(file.size() for file in named.values()), classes), names)
