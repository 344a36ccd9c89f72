"""Detect the family of a model file."""

from safelight.models.families import miniature, stable_diffusion
from safelight.models.families.family import Family
from safelight.models.unet.shape import unet_shape
from safelight.models.weights import UnknownWeights, WeightFile, Weights, json_metadata

UNET = "model.diffusion_model."


def family_of(file: WeightFile, unet: Weights) -> Family:
    """The family of a UNet in latent diffusion's layout. Raises :class:`UnknownWeights`."""
    name = file.path.name
    try:
        shape = unet_shape(unet.shapes)
    except KeyError as error:
        raise UnknownWeights(
            f"{name!r} contains no supported diffusion network: a UNet would have {error}; transformer families "
            "(Flux, SD3, Wan ...) are not supported yet"
        ) from None
    settings = json_metadata(file, miniature.METADATA)
    if settings is not None:
        try:
            return miniature.miniature_family(settings, shape)
        except KeyError as error:
            raise UnknownWeights(f"{name!r} has {miniature.METADATA} metadata without {error}") from None
    marks = frozenset(key for key in file.shapes if "." not in key)
    if family := stable_diffusion.detect_family(shape, unet, marks):
        return family
    raise UnknownWeights(
        f"{name!r} contains a UNet with {shape.context} conditioning and {shape.vector} pooled features, which matches "
        "no supported family"
    )
