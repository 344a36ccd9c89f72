"""How the outputs of the text encoders of Stable Diffusion 3 are joined: those of CLIP side by side, then those of T5
below, which is wider."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch.nn import functional

from safelight.models.text.clip import CLIP_G_PENULTIMATE, CLIP_L_PENULTIMATE
from safelight.models.text.recipe import Encoding, TextRecipe
from safelight.models.text.t5_recipe import T5Recipe

L_FEATURES, G_FEATURES = 768, 1280
FEATURES = 4096
"""Without T5, whose width this is."""


def joined(encodings: Mapping[str, Encoding]) -> Encoding:
    """Zeros for an encoder that is missing."""
    rows = [clip] if (clip := _clip(encodings)) is not None else []
    if "t5xxl" in encodings:
        rows.append(encodings["t5xxl"].hidden)
    widest = max(one.shape[-1] for one in rows) if "t5xxl" in encodings else FEATURES
    padded = [functional.pad(one, (0, widest - one.shape[-1])) for one in rows]
    return Encoding(torch.cat(padded, dim=1), pooled=pooled_of_both(encodings))


def _clip(encodings: Mapping[str, Encoding]) -> torch.Tensor | None:
    small, large = encodings.get("l"), encodings.get("g")
    if small is None and large is None:
        return None
    length = min(one.hidden.shape[1] for one in (small, large) if one is not None)
    beside = [
        torch.zeros(1, length, features) if one is None else one.hidden[:, :length]
        for one, features in ((small, L_FEATURES), (large, G_FEATURES))
    ]
    return torch.cat(beside, dim=-1)


def pooled_of_both(encodings: Mapping[str, Encoding]) -> torch.Tensor:
    """The pooled outputs of CLIP L and G side by side, ``[1, 2048]``."""
    parts = []
    for key, features in (("l", L_FEATURES), ("g", G_FEATURES)):
        pooled = encodings[key].pooled if key in encodings else None
        parts.append(torch.zeros(1, features) if pooled is None else pooled)
    return torch.cat(parts, dim=-1)


SD3_TEXT = TextRecipe(
    {
        "l": replace(CLIP_L_PENULTIMATE, projects=False),
        "g": CLIP_G_PENULTIMATE,
        "t5xxl": T5Recipe(least=77),
    },
    join=joined,
    types=("sd3",),
    optional=frozenset({"l", "g", "t5xxl"}),
    prefixes={
        "l": ("text_encoders.clip_l.transformer.",),
        "g": ("text_encoders.clip_g.transformer.",),
        "t5xxl": ("text_encoders.t5xxl.transformer.",),
    },
    title="Stable Diffusion 3",
)
