"""Load model files as values: whole checkpoints, and diffusion networks, text encoders and autoencoders alone."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from safelight.models.autoencoder.autoencoder_module import autoencoder_shape
from safelight.models.autoencoder.image_autoencoder import ImageAutoencoder
from safelight.models.autoencoder.tiny import tiny_shape
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.families.family import Family
from safelight.models.families.registry import UNET, family_of
from safelight.models.text.clip_weights import clip_weights
from safelight.models.text.encoder import TextEncoder
from safelight.models.text.encoder_module import text_shape
from safelight.models.text.recipe import (
    CLIP_G_PENULTIMATE,
    CLIP_H,
    CLIP_L,
    CLIP_L_PENULTIMATE,
    EncoderRecipe,
    TextRecipe,
)
from safelight.models.unet.diffusers_layout import in_original_layout
from safelight.models.weights import UnknownWeights, WeightFile, Weights, weight_file

AUTOENCODER = "first_stage_model."

TEXT_PREFIXES: dict[tuple[str, str], tuple[str, ...]] = {
    ("sd1", "l"): ("cond_stage_model.transformer.", "cond_stage_model."),
    ("miniature", "l"): ("cond_stage_model.transformer.",),
    ("sd2", "h"): ("cond_stage_model.model.",),
    ("sdxl", "l"): ("conditioner.embedders.0.transformer.",),
    ("sdxl", "g"): ("conditioner.embedders.1.model.",),
    ("sdxl_refiner", "g"): ("conditioner.embedders.0.model.",),
}
"""Prefixes of the text encoders' weights, by the checkpoint's family and the encoder's letter."""

_AUTOENCODER_PART = re.compile(r"(?:encoder|decoder|quant_conv|post_quant_conv)\..+")
_AUTOENCODER_ATTENTION = re.compile(r"(?:encoder|decoder)\.mid\.attn_1\.(?:q|k|v|proj_out)\.weight")


@dataclass(frozen=True)
class Checkpoint:
    """``text`` and ``autoencoder`` are ``None`` if the file lacks them."""

    model: DiffusionModel
    text: TextEncoder | None
    autoencoder: ImageAutoencoder | None


def load_checkpoint(path: Path) -> Checkpoint:
    """Load a checkpoint; reads only the header. Raises :class:`UnknownWeights`;
    :class:`safelight.media.media_errors.UnreadableWeights`."""
    file = weight_file(path)
    unet = file.weights(UNET)
    family = family_of(file, unet)
    autoencoder = _autoencoder(file.weights(AUTOENCODER), path.name, family.autoencoder_groups)
    return Checkpoint(family.model(unet), _text_of_checkpoint(file, family), autoencoder)


def load_diffusion_model(
    path: Path, *, dtype: torch.dtype | None = None, rounded: torch.dtype | None = None
) -> DiffusionModel:
    """A diffusion network alone, or the one in a checkpoint. ``dtype``: the type that it computes in; ``rounded``: the
    type that its weights are rounded to first."""
    file = weight_file(path)
    unet = in_original_layout(file.weights(UNET) or file.weights())
    if rounded is not None:
        unet = unet.rounded(rounded)
    return family_of(file, unet).model(unet, dtype=dtype)


def load_autoencoder(path: Path) -> ImageAutoencoder:
    """An autoencoder alone, or the one in a checkpoint."""
    file = weight_file(path)
    if tiny := file.weights("taesd_"):
        return _tiny(tiny, path.name, *TINY_AUTOENCODERS["taesd"])
    found = _autoencoder(file.weights(AUTOENCODER) or file.weights(), path.name, 32)
    if found is None:
        raise UnknownWeights(f"{path.name!r} contains no supported autoencoder")
    return found


def load_tiny_autoencoder(name: str, *, decoder: Path, encoder: Path | None) -> ImageAutoencoder:
    """One of :data:`TINY_AUTOENCODERS`, from the files of its two halves. Without an encoder, it only decodes."""
    weights = weight_file(decoder).weights().prefixed("decoder.")
    if encoder is not None:
        weights = weights | weight_file(encoder).weights().prefixed("encoder.")
    return _tiny(weights, decoder.name, *TINY_AUTOENCODERS[name])


TINY_AUTOENCODERS = {
    "taesd": (0.18215, 0.0),
    "taesdxl": (0.13025, 0.0),
    "taesd3": (1.5305, 0.0609),
    "taef1": (0.3611, 0.1159),
}
"""Scale and shift of the latents that each one replaces."""


def _tiny(weights: Weights, name: str, scale: float, shift: float) -> ImageAutoencoder:
    try:
        shape = tiny_shape(weights.shapes, scale=scale, shift=shift)
    except (KeyError, IndexError) as error:
        raise UnknownWeights(f"{name!r} contains no supported tiny autoencoder: {error} is missing") from None
    return ImageAutoencoder(weights, shape)


def load_text_encoders(paths: Sequence[Path]) -> TextEncoder:
    """CLIP text encoders: a single one as its own family reads it, L and G together as SDXL does."""
    found: dict[str, Weights] = {}
    for path in paths:
        file = weight_file(path)
        weights = _first(clip_weights(file.weights(prefix)) for prefix in ("", "text_encoder.", "transformer."))
        if not weights:
            raise UnknownWeights(f"{path.name!r} contains no supported text encoder; CLIP L, H and G are supported")
        found[_letter(weights, path.name)] = weights
    if len(found) < len(paths):
        raise UnknownWeights(
            f"{' and '.join(path.name for path in paths)} are the same kind of text encoder; choose two different ones"
        )
    recipes: dict[str, EncoderRecipe] = {"l": CLIP_L, "h": CLIP_H, "g": CLIP_G_PENULTIMATE}
    if "g" in found:
        recipes["l"] = CLIP_L_PENULTIMATE
    return _encoder({letter: found[letter] for letter in "lhg" if letter in found}, recipes)


def _text_of_checkpoint(file: WeightFile, family: Family) -> TextEncoder | None:
    found = {}
    for letter in family.text.encoders:
        prefixes = TEXT_PREFIXES[family.name, letter]
        found[letter] = _first(clip_weights(file.weights(prefix)) for prefix in prefixes)
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
        raise UnknownWeights(
            f"{name!r} contains a text encoder {width} features wide; supported widths are 768, 1024 and 1280"
        )
    return letter


def _autoencoder(weights: Weights, name: str, groups: int) -> ImageAutoencoder | None:
    own = weights.only([key for key in weights.sources if _AUTOENCODER_PART.fullmatch(key)])
    if not own:
        return None
    sources = {
        key: replace(source, reshaped=(*source.shape, 1, 1))
        if _AUTOENCODER_ATTENTION.fullmatch(key) and len(source.shape) == 2  # diffusers writes them as matrices
        else source
        for key, source in own.sources.items()
    }
    try:
        shape = autoencoder_shape(own.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{name!r} contains no supported autoencoder: {error} is missing") from None
    return ImageAutoencoder(Weights(sources), shape, groups)


def _first(found: Iterable[Weights]) -> Weights:
    """Return the first non-empty one."""
    return next((weights for weights in found if weights), Weights({}))
