"""LTX-Video and LTX-2: detection, and what is known about them."""

from collections.abc import Mapping
from typing import Any

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.ltx.conditioning import LtxConditioning
from safelight.models.families.ltx.latent import LTX2_LATENT, LTX_VIDEO_LATENT
from safelight.models.families.ltx.lora_names import ltx_names
from safelight.models.families.ltx.sound_network import SoundArchitecture, sound_shape
from safelight.models.families.ltx.text import LTX2_TEXT
from safelight.models.families.ltx.video_network import VideoArchitecture, video_shape
from safelight.models.sampling.levels import ExponentialFlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.text.recipe import TextRecipe
from safelight.models.text.t5_recipe import T5Recipe
from safelight.models.weights import UnknownWeights, WeightFile, Weights, json_metadata

LTX_VIDEO_TEXT = TextRecipe(
    {"t5xxl": T5Recipe(least=128, is_masked=True)},
    types=("ltxv",),
    prefixes={"t5xxl": ("text_encoders.t5xxl.transformer.",)},
    title="LTX-Video",
)
LOG_SHIFT = 2.37

_MARKS = {"adaln_single.emb.timestep_embedder.linear_1.bias", "patchify_proj.weight"}
_SOUND_MARK = "audio_adaln_single.linear.weight"
_CONNECTORS = ("video_embeddings_connector.", "audio_embeddings_connector.")
"""Parts of the text encoder of LTX-2 that checkpoints have among the network's weights."""


def detect(found: NetworkFile) -> Variant | None:
    if not found.shapes.keys() >= _MARKS:
        return None
    settings = settings_of(found.file, "transformer")
    try:
        return _with_sound(found, settings) if _SOUND_MARK in found.shapes else _without_sound(found, settings)
    except KeyError as error:
        raise UnknownWeights(f"{found.name!r} is an LTX model without {error}") from None


def _without_sound(found: NetworkFile, settings: Mapping[str, Any]) -> Variant:
    shape = video_shape(found.shapes, settings)
    return Variant(
        name="ltx_video",
        parameterization=Parameterization(Flow(), ExponentialFlowLevels(LOG_SHIFT)),
        latent_format=LTX_VIDEO_LATENT,
        architecture=VideoArchitecture(shape),
        conditioning=LtxConditioning(
            shape.context,
            f"the LTX-Video model {found.name!r}",
            "T5 XXL; load its text encoder with type 'ltxv'",
        ),
        lora_names=ltx_names,
        text=LTX_VIDEO_TEXT,
        is_clean_outside_mask=True,
    )


def _with_sound(found: NetworkFile, settings: Mapping[str, Any]) -> Variant:
    shape = sound_shape(found.shapes, settings)
    return Variant(
        name="ltx2",
        parameterization=Parameterization(Flow(), ExponentialFlowLevels(LOG_SHIFT)),
        latent_format=LTX2_LATENT,
        architecture=SoundArchitecture(shape),
        conditioning=LtxConditioning(
            shape.features,
            f"the LTX-2 model {found.name!r}",
            "Gemma with the connectors of the same version; load them with LTXAVTextEncoderLoader",
        ),
        lora_names=ltx_names,
        text=LTX2_TEXT,
        is_clean_outside_mask=True,
    )


def settings_of(file: WeightFile, part: str) -> Mapping[str, Any]:
    """The settings of a part of the model in the file's metadata, ``{}`` if it has none."""
    settings = (json_metadata(file, "config") or {}).get(part)
    return settings if isinstance(settings, dict) else {}


def without_connectors(weights: Weights) -> Weights:
    return weights.only([name for name in weights.sources if not name.startswith(_CONNECTORS)])


FAMILY = Family("ltx", "LTX", detect, text=(LTX_VIDEO_TEXT,), in_own_layout=without_connectors)
