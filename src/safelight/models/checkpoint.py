"""Load model files as values: whole checkpoints, and diffusion networks, text encoders and autoencoders alone."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from safelight.models.autoencoder import h3_audio_module, h3_video_module, qwen_image21_module
from safelight.models.autoencoder.audio_autoencoder import AudioAutoencoder, is_oobleck, oobleck_autoencoder
from safelight.models.autoencoder.autoencoder_module import autoencoder_shape
from safelight.models.autoencoder.h3_autoencoder import H3FilmAutoencoder, H3SoundAutoencoder
from safelight.models.autoencoder.hunyuan_video_module import hunyuan_video_autoencoder_shape
from safelight.models.autoencoder.image_autoencoder import ImageAutoencoder
from safelight.models.autoencoder.ltx_autoencoder import LtxAutoencoder, is_ltx, ltx_autoencoder
from safelight.models.autoencoder.tiny import tiny_shape
from safelight.models.autoencoder.video_autoencoder import VideoAutoencoder
from safelight.models.autoencoder.wan22_module import wan22_shape
from safelight.models.autoencoder.wan_module import wan_shape
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.families.registry import NETWORK, detect, text_recipe, text_recipes
from safelight.models.language.question_recipe import question_recipe
from safelight.models.text.encoder import TextEncoder
from safelight.models.text.encoder_files import EncoderFile, encoder_file, in_checkpoint, title_of
from safelight.models.text.recipe import TextRecipe
from safelight.models.weights import UnknownWeights, WeightFile, Weights, json_metadata, weight_file

AUTOENCODER = "first_stage_model."
_AUTOENCODER_PREFIXES = (AUTOENCODER, "vae.", "pretransform.model.")

_AUTOENCODER_PART = re.compile(r"(?:encoder|decoder|quant_conv|post_quant_conv)\..+|bn\.running_(?:mean|var)")
_AUTOENCODER_ATTENTION = re.compile(r"(?:encoder|decoder)\.mid\.attn_1\.(?:q|k|v|proj_out)\.weight")


AnyAutoencoder = ImageAutoencoder | VideoAutoencoder | LtxAutoencoder | H3FilmAutoencoder | AudioAutoencoder


@dataclass(frozen=True)
class Checkpoint:
    """``text`` and ``autoencoder`` are ``None`` if the file lacks them."""

    model: DiffusionModel
    text: TextEncoder | None
    autoencoder: AnyAutoencoder | None


def load_checkpoint(path: Path) -> Checkpoint:
    """Load a checkpoint; reads only the header. Raises :class:`UnknownWeights`;
    :class:`safelight.media.media_errors.UnreadableWeights`."""
    file = weight_file(path)
    variant, weights = detect(file, file.weights(NETWORK) or file.weights())
    found = _first(file.weights(prefix) for prefix in _AUTOENCODER_PREFIXES)
    autoencoder = _special_autoencoder(found, file) or _autoencoder(found, path.name, variant.autoencoder_groups)
    return Checkpoint(variant.model(weights), _text_of_checkpoint(file, variant.text), autoencoder)


def load_diffusion_model(
    path: Path, *, dtype: torch.dtype | None = None, rounded: torch.dtype | None = None
) -> DiffusionModel:
    """A diffusion network alone, or the one in a checkpoint. ``dtype``: the type that it computes in; ``rounded``: the
    type that its weights are rounded to first."""
    file = weight_file(path)
    variant, weights = detect(file, file.weights(NETWORK) or file.weights())
    if rounded is not None:
        weights = weights.rounded(rounded)
    return variant.model(weights, dtype=dtype)


def load_autoencoder(path: Path) -> AnyAutoencoder:
    """An autoencoder alone, or the one in a checkpoint."""
    file = weight_file(path)
    if tiny := file.weights("taesd_"):
        return _tiny(tiny, path.name, *TINY_AUTOENCODERS["taesd"])
    weights = _first(file.weights(prefix) for prefix in (*_AUTOENCODER_PREFIXES, ""))
    found = _special_autoencoder(weights, file) or _autoencoder(weights, path.name, 32)
    if found is None:
        raise UnknownWeights(f"{path.name!r} contains no supported autoencoder")
    return found


def _special_autoencoder(weights: Weights, file: WeightFile) -> AnyAutoencoder | None:
    """One of videos, of audio or of Qwen-Image 2.1, told by a weight that only it has; ``None`` for those of images."""
    shapes = weights.shapes
    try:
        if "decoder.middle.0.residual.0.gamma" in shapes:
            is_small = "encoder.downsamples.0.downsamples.0.residual.0.gamma" in shapes
            return VideoAutoencoder(weights, wan22_shape(shapes) if is_small else wan_shape(shapes))
        if qwen_image21_module.MARK in shapes and "post_quant_conv.weight" in shapes:
            return ImageAutoencoder(
                qwen_image21_module.autoencoder_weights(weights), qwen_image21_module.autoencoder_shape(shapes)
            )
        if h3_video_module.MARK in shapes:
            own = _numbers(weights, ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.", "latents_"))
            return H3FilmAutoencoder(own, h3_video_module.h3_video_shape(shapes))
        if h3_audio_module.MARK in shapes:
            return H3SoundAutoencoder(weights, h3_audio_module.h3_audio_shape(shapes))
        if len(shapes.get("decoder.conv_in.conv.weight", ())) == 5 and "decoder.mid.attn_1.norm.gamma" in shapes:
            return VideoAutoencoder(weights, hunyuan_video_autoencoder_shape(shapes))
        if is_oobleck(shapes):
            return oobleck_autoencoder(weights)
        if is_ltx(shapes):
            settings = (json_metadata(file, "config") or {}).get("vae")
            return ltx_autoencoder(weights, settings if isinstance(settings, dict) else {})
    except KeyError as error:
        raise UnknownWeights(f"{file.path.name!r} contains no supported autoencoder: {error} is missing") from None
    return None


def _numbers(weights: Weights, prefixes: tuple[str, ...]) -> Weights:
    """Those that a network reads, without what a file keeps beside them."""
    return weights.only([name for name in weights.sources if name.startswith(prefixes)])


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


def load_text_encoders(paths: Sequence[Path], type: str) -> TextEncoder:
    """Text encoders, used as the families of a loader's type use them. Raises :class:`UnknownWeights`."""
    found: dict[str, EncoderFile] = {}
    for path in paths:
        one = encoder_file(weight_file(path))
        if one.kind in found:
            names = " and ".join(path.name for path in paths)
            raise UnknownWeights(f"{names} are the same kind of text encoder; choose different ones")
        found[one.kind] = one
    recipe = text_recipe(type, frozenset(found))
    if recipe is None:
        given = " and ".join(f"{path.name!r} is {title_of(kind)}" for path, kind in zip(paths, found, strict=True))
        refusal = f"{given}; text encoders of type {type!r} are {_expected(type)}"
        recipe = question_recipe(next(iter(found)), refusal=refusal) if len(found) == 1 else None
        if recipe is None:
            raise UnknownWeights(refusal)
    return _encoder({key: found[one.kind].weights for key, one in recipe.encoders.items()}, recipe)


def _expected(type: str) -> str:
    expected = [
        f"{' and '.join(title_of(one.kind) for one in recipe.encoders.values())} for {recipe.title}"
        for recipe in text_recipes(type)
    ]
    return ", ".join(expected) or "not supported yet"


def _text_of_checkpoint(file: WeightFile, recipe: TextRecipe) -> TextEncoder | None:
    found = {}
    for key in recipe.encoders:
        weights = (file.weights(prefix) for prefix in recipe.prefixes.get(key, ()))
        found[key] = _first(in_checkpoint(recipe.encoders[key].kind, one) for one in weights)
    return _encoder(found, recipe) if found and all(found.values()) else None


def _encoder(found: Mapping[str, Weights], recipe: TextRecipe) -> TextEncoder:
    weights = Weights({})
    for key, one in recipe.encoders.items():
        weights = weights | found[key].prefixed(f"{one.kind}.")
    return TextEncoder(weights, recipe)


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
