"""UMT5 as Wan's text encoder: prompts filled up to 512 tokens, which attention does not see and whose outputs are
zero."""

from safelight.models.text.recipe import TextRecipe
from safelight.models.text.t5_recipe import T5Recipe

WAN_TEXT = TextRecipe(
    {"umt5xxl": T5Recipe("umt5xxl", least=512, is_masked=True, zeroes_padding=True)},
    types=("wan",),
    prefixes={"umt5xxl": ("text_encoders.umt5xxl.transformer.",)},
    title="Wan",
)
