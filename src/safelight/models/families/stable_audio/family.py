"""Stable Audio Open: detection, and what is known about it."""

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.stable_audio.conditioning import StableAudioConditioning
from safelight.models.families.stable_audio.network import TIMES, StableAudioArchitecture, stable_audio_shape
from safelight.models.latent_format import LatentFormat
from safelight.models.lora.names import own_names
from safelight.models.sampling.levels import ContinuousVLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Velocity
from safelight.models.text.recipe import TextRecipe
from safelight.models.text.t5_recipe import T5Recipe
from safelight.models.weights import UnknownWeights, Weights

LATENT = LatentFormat(channels=64, downscale=2048, is_sequence=True)
TEXT = TextRecipe(
    {"t5base": T5Recipe(least=128, is_masked=True, zeroes_padding=True)},
    types=("stable_audio",),
    prefixes={"t5base": ("text_encoders.t5base.transformer.",)},
    title="Stable Audio",
)
_LEVELS = ContinuousVLevels(sigma_min=0.03, sigma_max=500.0)
_MARKS = {"transformer.rotary_pos_emb.inv_freq", "to_timestep_embed.0.weight", "transformer.project_in.weight"}
_OF_CHECKPOINT = {"model.model.": "", **{f"conditioner.conditioners.{name}.": f"{name}." for name in TIMES}}


def detect(found: NetworkFile) -> Variant | None:
    if not found.shapes.keys() >= _MARKS:
        return None
    try:
        shape = stable_audio_shape(found.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{found.name!r} is a Stable Audio model without {error}") from None
    return Variant(
        name="stable_audio",
        parameterization=Parameterization(Velocity(), _LEVELS),
        latent_format=LATENT,
        architecture=StableAudioArchitecture(shape),
        conditioning=StableAudioConditioning(shape.context, f"the Stable Audio model {found.name!r}"),
        lora_names=own_names,
        text=TEXT,
    )


def from_checkpoint(weights: Weights) -> Weights:
    """The network and the embedders of times under the network's own names. The offsets of its norms, which are zero,
    are left out."""
    if not any(name.startswith("model.model.transformer.") for name in weights.sources):
        return weights
    made = {}
    for name, source in weights.sources.items():
        for prefix, own in _OF_CHECKPOINT.items():
            if name.startswith(prefix) and not name.endswith("norm.beta"):
                made[own + name.removeprefix(prefix)] = source
    return Weights(made)


FAMILY = Family("stable_audio", "Stable Audio Open", detect, text=(TEXT,), in_own_layout=from_checkpoint)
