"""Which family a file belongs to."""

from safelight.models.families import miniature, stable_diffusion
from safelight.models.families.family import Family
from safelight.models.unet.shape import unet_shape
from safelight.models.weights import UnknownWeights, WeightFile, Weights, json_metadata

UNET = "model.diffusion_model."


def family_of(file: WeightFile, unet: Weights) -> Family:
    """Of a UNet in latent diffusion's layout. Raises :class:`UnknownWeights`."""
    name = file.path.name
    try:
        shape = unet_shape(unet.shapes)
    except KeyError as error:
        raise UnknownWeights(
            f"{name} holds no diffusion network that is known here: a UNet would have {error}; families of "
            "transformers (Flux, SD3, Wan ...) are not read yet"
        ) from None
    settings = json_metadata(file, miniature.METADATA)
    if settings is not None:
        try:
            return miniature.of_metadata(settings, shape)
        except KeyError as error:
            raise UnknownWeights(f"{name} has {miniature.METADATA} metadata without {error}") from None
    marks = frozenset(key for key in file.shapes if "." not in key)
    if family := stable_diffusion.of_unet(shape, unet, marks):
        return family
    raise UnknownWeights(
        f"{name} holds a UNet for conditions of {shape.context} features and {shape.vector} pooled ones; no family "
        "that is known here has these"
    )
