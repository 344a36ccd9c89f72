"""The text encoders of HiDream: the pooled outputs of CLIP L and G, the tokens of T5, and those of every layer of Llama
3.1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from safelight.models.families.sd3.text import pooled_of_both
from safelight.models.language.architecture import LLAMA3
from safelight.models.language.decoder import Decoder
from safelight.models.language.recipe import LLAMA_TOKENS, LanguageRecipe
from safelight.models.text.chunks import Window
from safelight.models.text.clip import CLIP_G_PENULTIMATE, CLIP_L
from safelight.models.text.recipe import Encoding, TextRecipe
from safelight.models.text.t5_recipe import T5Recipe

T5_TOKENS, T5_FEATURES = 128, 4096
LLAMA_LAYERS, LLAMA_FEATURES = 32, 4096


@dataclass(frozen=True)
class EveryLayer(LanguageRecipe):
    """The outputs of all layers side by side, the last one under the final norm. Their number is the option
    ``layers``."""

    def encode(
        self, module: nn.Module, windows: Sequence[Window], *, layer: int | None, device: torch.device
    ) -> Encoding:
        assert isinstance(module, Decoder)
        encoding = LanguageRecipe.encode(self, module, windows, layer=layer, device=device)
        return replace(encoding, options={"layers": module.shape.layers})

    def selected(
        self, module: Decoder, embeddings: torch.Tensor, mask: torch.Tensor, layer: int | None, **keywords: object
    ) -> torch.Tensor:
        shown = None if mask.all() else mask
        states = range(1, module.shape.layers)
        output = module(embeddings, mask=shown, states=list(states), **keywords)
        return torch.cat([*(output.states[state] for state in states), output.final], dim=-1).float().cpu()


def joined(encodings: Mapping[str, Encoding]) -> Encoding:
    """Zeros for an encoder that is missing."""
    words = encodings["t5xxl"].hidden if "t5xxl" in encodings else torch.zeros(1, T5_TOKENS, T5_FEATURES)
    if "llama" in encodings:
        hidden = encodings["llama"].hidden
        layers = encodings["llama"].options["layers"]
        language = hidden.reshape(1, hidden.shape[1], layers, -1).movedim(2, 1)
    else:
        language = torch.zeros(1, LLAMA_LAYERS, 1, LLAMA_FEATURES)
    return Encoding(words, pooled=pooled_of_both(encodings), options={"conditioning_llama3": language})


HIDREAM_TEXT = TextRecipe(
    {
        "l": CLIP_L,
        "g": CLIP_G_PENULTIMATE,
        "t5xxl": T5Recipe(least=T5_TOKENS, is_masked=True),
        "llama": EveryLayer("llama3", "Llama 3.1", LLAMA3, replace(LLAMA_TOKENS, pad=128009), least=128),
    },
    join=joined,
    types=("hidream",),
    optional=frozenset({"l", "g", "t5xxl", "llama"}),
    title="HiDream",
)
