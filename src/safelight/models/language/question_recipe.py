"""Language models that are loaded only to write: any of them, under any type of the text encoder loader."""

from collections.abc import Mapping
from dataclasses import replace

from safelight.models.language.architecture import (
    GEMMA2,
    GEMMA3,
    LLAMA3,
    MISTRAL3,
    QWEN3,
    QWEN3_VL,
    QWEN25_VL,
    QWEN35,
)
from safelight.models.language.picture_recipe import PictureRecipe
from safelight.models.language.recipe import (
    GEMMA_TOKENS,
    LLAMA_TOKENS,
    MISTRAL_TOKENS,
    QWEN35_TOKENS,
    QWEN_TOKENS,
    LanguageRecipe,
    qwen_recipe,
)
from safelight.models.text.recipe import TextRecipe
from safelight.models.tokenizers.byte_pairs import qwen
from safelight.models.vision_tower.qwen3 import QWEN3_TOWER

QWEN3_VL_RECIPE = PictureRecipe("qwen3_vl", "Qwen3-VL", QWEN3_VL, QWEN_TOKENS, vocabulary=qwen, tower=QWEN3_TOWER)
_ALL = (
    qwen_recipe("qwen3", "Qwen3", QWEN3),
    QWEN3_VL_RECIPE,
    PictureRecipe("qwen25_vl", "Qwen2.5-VL", QWEN25_VL, QWEN_TOKENS, vocabulary=qwen),
    PictureRecipe("qwen35", "Qwen3.5", QWEN35, QWEN35_TOKENS, tower=QWEN3_TOWER),
    LanguageRecipe("gemma2", "Gemma 2", GEMMA2, GEMMA_TOKENS),
    LanguageRecipe("gemma3", "Gemma 3", GEMMA3, GEMMA_TOKENS),
    LanguageRecipe("llama3", "Llama 3", LLAMA3, LLAMA_TOKENS),
    LanguageRecipe("mistral3", "Mistral Small 3", MISTRAL3, MISTRAL_TOKENS),
)
QUESTION_RECIPES: Mapping[str, LanguageRecipe] = {recipe.kind: recipe for recipe in _ALL}
"""By the kind of the file."""


def question_recipe(kind: str, *, refusal: str) -> TextRecipe | None:
    """A language model that only writes; ``refusal`` is the error if it is asked to encode a prompt. ``None`` if this
    kind of file is no language model."""
    recipe = QUESTION_RECIPES.get(kind)
    return None if recipe is None else TextRecipe({kind: replace(recipe, refusal=refusal)}, title=recipe.title)
