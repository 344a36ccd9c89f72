"""Where a job may run: the pool that its client asks for, or the class of the models that its prompt names."""

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
    """``extra_data["pool"]``, else the class of all named models together. With ``classes`` it blocks:
    it asks the disk for their sizes.

    Raises :class:`Invalid` for a pool that is none of ``pools``.
    """
    named = models.find(set(strings_of(prompt)))
    names = sorted(named)
    asked = extra_data.get("pool")
    if asked is not None:
        if asked not in pools:
            there_are = ", ".join(sorted(pools)) or "none"
            raise Invalid(f"extra_data.pool is {asked!r}, and there is no such pool (there are: {there_are})")
        return Placement(Pool(asked), names)
    if not classes or not named:
        return Placement(ANY, names)
    return Placement(class_of(sum(file.size() for file in named.values()), classes), names)
