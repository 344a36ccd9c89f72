"""Files of models as values: whole checkpoints, and diffusion networks, text encoders and autoencoders alone."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from safelight.models.autoencoder.autoencoder_module import autoencoder_shape
from safelight.models.autoencoder.image_autoencoder import PictureAutoencoder
from safelight.models.autoencoder.tiny import tiny_shape
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.families.family import Family
from safelight.models.families.registry import UNET, family_of
from safelight.models.text.clip_weights import clip_weights
from safelight.models.text.encoder import TextEncoder
from safelight.models.text.encoder_module import text_shape
from safelight.models.text.recipe import (
    CLIP_G_LAST_BUT_ONE,
    CLIP_H,
    CLIP_L,
    CLIP_L_LAST_BUT_ONE,
    EncoderRecipe,
    TextRecipe,
)
from safelight.models.unet.diffusers_layout import in_original_layout
from safelight.models.weights import UnknownWeights, WeightFile, Weights, weight_file

AUTOENCODER = "first_stage_model."

TEXT_PLACES: dict[tuple[str, str], tuple[str, ...]] = {
    ("sd1", "l"): ("cond_stage_model.transformer.", "cond_stage_model."),
    ("miniature", "l"): ("cond_stage_model.transformer.",),
    ("sd2", "h"): ("cond_stage_model.model.",),
    ("sdxl", "l"): ("conditioner.embedders.0.transformer.",),
    ("sdxl", "g"): ("conditioner.embedders.1.model.",),
    ("sdxl_refiner", "g"): ("conditioner.embedders.0.model.",),
}
"""Where a family's checkpoints have a text encoder."""

_AUTOENCODER_PART = re.compile(r"(?:encoder|decoder|quant_conv|post_quant_conv)\..+")
_AUTOENCODER_ATTENTION = re.compile(r"(?:encoder|decoder)\.mid\.attn_1\.(?:q|k|v|proj_out)\.weight")


@dataclass(frozen=True)
class Checkpoint:
    """``text`` and ``autoencoder`` are none where the file lacks them."""

    model: DiffusionModel
    text: TextEncoder | None
    autoencoder: PictureAutoencoder | None


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads headers alone. Raises :class:`UnknownWeights`; :class:`safelight.media.errors.UnreadableWeights`."""
    file = weight_file(path)
    unet = file.weights(UNET)
    family = family_of(file, unet)
    autoencoder = _autoencoder(file.weights(AUTOENCODER), path.name, family.autoencoder_groups)
    return Checkpoint(family.model(unet), _text_of_checkpoint(file, family), autoencoder)


def load_diffusion_model(
    path: Path, *, dtype: torch.dtype | None = None, rounded: torch.dtype | None = None
) -> DiffusionModel:
    """A diffusion network alone, or that of a checkpoint. ``dtype``: in which it computes; ``rounded``: to which its
    weights are rounded before."""
    file = weight_file(path)
    unet = in_original_layout(file.weights(UNET) or file.weights())
    if rounded is not None:
        unet = unet.rounded(rounded)
    return family_of(file, unet).model(unet, dtype=dtype)


def load_autoencoder(path: Path) -> PictureAutoencoder:
    """An autoencoder alone, or that of a checkpoint."""
    file = weight_file(path)
    if tiny := file.weights("taesd_"):
        return _tiny(tiny, path.name, *TINY_LATENTS["taesd"])
    found = _autoencoder(file.weights(AUTOENCODER) or file.weights(), path.name, 32)
    if found is None:
        raise UnknownWeights(f"{path.name} holds no autoencoder that is known here")
    return found


def load_tiny_autoencoder(name: str, *, decoder: Path, encoder: Path | None) -> PictureAutoencoder:
    """One of :data:`TINY_LATENTS`, from the files of its halves; without an encoder, it decodes only."""
    weights = weight_file(decoder).weights().prefixed("decoder.")
    if encoder is not None:
        weights = weights | weight_file(encoder).weights().prefixed("encoder.")
    return _tiny(weights, decoder.name, *TINY_LATENTS[name])


TINY_LATENTS = {
    "taesd": (0.18215, 0.0),
    "taesdxl": (0.13025, 0.0),
    "taesd3": (1.5305, 0.0609),
    "taef1": (0.3611, 0.1159),
}
"""Scale and shift of the latents that they stand for."""


def _tiny(weights: Weights, name: str, scale: float, shift: float) -> PictureAutoencoder:
    try:
        shape = tiny_shape(weights.shapes, scale=scale, shift=shift)
    except (KeyError, IndexError) as error:
        raise UnknownWeights(f"{name} holds no tiny autoencoder that is known here: one would have {error}") from None
    return PictureAutoencoder(weights, shape)


def load_text_encoders(paths: Sequence[Path]) -> TextEncoder:
    """CLIP text encoders: one as its own family reads it, L and G together as SDXL does."""
    found: dict[str, Weights] = {}
    for path in paths:
        file = weight_file(path)
        weights = _first(clip_weights(file.weights(prefix)) for prefix in ("", "text_encoder.", "transformer."))
        if not weights:
            raise UnknownWeights(f"{path.name} holds no text encoder that is known here; CLIP's L, H and G are")
        found[_letter(weights, path.name)] = weights
    if len(found) < len(paths):
        raise UnknownWeights(f"{' and '.join(path.name for path in paths)} hold the same kind of text encoder")
    recipes: dict[str, EncoderRecipe] = {"l": CLIP_L, "h": CLIP_H, "g": CLIP_G_LAST_BUT_ONE}
    if "g" in found:
        recipes["l"] = CLIP_L_LAST_BUT_ONE
    return _encoder({letter: found[letter] for letter in "lhg" if letter in found}, recipes)


def _text_of_checkpoint(file: WeightFile, family: Family) -> TextEncoder | None:
    found = {}
    for letter in family.text.encoders:
        places = TEXT_PLACES[family.name, letter]
        found[letter] = _first(clip_weights(file.weights(prefix)) for prefix in places)
    return _encoder(found, family.text.encoders) if all(found.values()) else None


def _encoder(found: dict[str, Weights], recipes: Mapping[str, EncoderRecipe]) -> TextEncoder:
    chosen = {letter: recipes[letter] for letter in found}
    weights = Weights({})
    for letter, own in found.items():
        weights = weights | own.prefixed(f"clip_{letter}.")
    return TextEncoder(weights, TextRecipe(chosen))


def _letter(weights: Weights, name: str) -> str:
    width = text_shape(weights.shapes).width
    letter = {768: "l", 1024: "h", 1280: "g"}.get(width)
    if letter is None:
        raise UnknownWeights(f"{name} holds a text encoder {width} features wide; 768, 1024 and 1280 are known")
    return letter


def _autoencoder(weights: Weights, name: str, groups: int) -> PictureAutoencoder | None:
    own = weights.only([key for key in weights.sources if _AUTOENCODER_PART.fullmatch(key)])
    if not own:
        return None
    sources = {
        key: replace(source, reshaped=(*source.shape, 1, 1))
        if _AUTOENCODER_ATTENTION.fullmatch(key) and len(source.shape) == 2  # matrices in files of diffusers' making
        else source
        for key, source in own.sources.items()
    }
    try:
        shape = autoencoder_shape(own.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{name} holds no autoencoder that is known here: one would have {error}") from None
    return PictureAutoencoder(Weights(sources), shape, groups)


def _first(found: Iterable[Weights]) -> Weights:
    """That is not empty."""
    return next((weights for weights in found if weights), Weights({}))
