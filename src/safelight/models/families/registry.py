"""The families: detect which one a file belongs to, and find the text encoders of a type."""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import NamedTuple

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.text.recipe import TextRecipe
from safelight.models.weights import UnknownWeights, WeightFile, Weights

FOLDERS = (
    "stable_diffusion",
    "flux",
    "flux2",
    "flux3",
    "chroma",
    "sd3",
    "hidream",
    "lumina",
    "qwen_image",
    "qwen_image21",
    "krea2",
    "anima",
    "minimax_h3",
    "wan",
    "hunyuan_video",
    "ltx",
    "stable_audio",
)
"""Each has a module ``family`` with the value ``FAMILY``. Text encoders of the first have precedence."""

NETWORK = "model.diffusion_model."
"""The prefix of a diffusion network's weights in checkpoints."""

_SHOWN_NAMES = 3


class Detected(NamedTuple):
    """The variant, and the network's weights under its own names."""

    variant: Variant
    weights: Weights


@cache
def families() -> tuple[Family, ...]:
    return tuple(import_module(f"safelight.models.families.{name}.family").FAMILY for name in FOLDERS)


def detect(file: WeightFile, weights: Weights, *, among: Iterable[Family] | None = None) -> Detected:
    """The family of a diffusion network with these weights in a file. Raises :class:`UnknownWeights` if none claims it,
    or more than one."""
    claims = []
    for family in families() if among is None else among:
        own = family.in_own_layout(weights)
        if (variant := family.detect(NetworkFile(file, own))) is not None:
            claims.append((family, Detected(variant, own)))
    name = file.path.name
    if len(claims) > 1:
        raise UnknownWeights(f"{name!r} is claimed by {' and '.join(family.title for family, _ in claims)}")
    if not claims:
        supported = ", ".join(family.title for family in families())
        first = ", ".join(list(weights.sources)[:_SHOWN_NAMES]) or "none"
        raise UnknownWeights(
            f"{name!r} contains no supported diffusion network; supported are {supported}; its first weights are "
            f"{first}"
        )
    return claims[0][1]


def text_recipe(type: str, kinds: frozenset[str]) -> TextRecipe | None:
    """What to do with encoder files of these kinds under a loader's type; ``None`` if no family takes them."""
    for recipe in text_recipes(type):
        if recipe.accepts(kinds):
            return recipe.with_kinds(kinds)
    return None


def text_recipes(type: str) -> list[TextRecipe]:
    """All recipes of a type of the text encoder loaders."""
    return [recipe for family in families() for recipe in family.text if type in recipe.types]
