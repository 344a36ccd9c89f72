"""Models as files: every weight under its layers, in the layout and the number type of the files that it came from."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from safelight.core.errors import Invalid
from safelight.models.autoencoder.image_autoencoder import PictureAutoencoder
from safelight.models.checkpoint import AUTOENCODER, TEXT_PLACES
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.families import miniature
from safelight.models.families.registry import UNET
from safelight.models.merging import patched
from safelight.models.stored_unet import StoredUNet
from safelight.models.text.clip_weights import OPEN_CLIP_LAYER, OPEN_CLIP_TOP_LEVEL
from safelight.models.text.encoder import TextEncoder
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import Weights

Tensors = dict[str, torch.Tensor]


class NotStored(Invalid):
    """The value is of no kind that can be written to a file."""

    code = "not_stored"


def model_tensors(model: DiffusionModel) -> Tensors:
    """Below ``model.diffusion_model.``. Raises :class:`NotStored`."""
    network = model.network
    if not isinstance(network, StoredUNet):
        raise NotStored(f"a model of {type(network).__name__} has no weights of its own to save")
    return _prefixed(UNET, _tensors(network.weights, network.layers))


def text_tensors(text: TextEncoder, family: str | None) -> Tensors:
    """Where the family's checkpoints have them; without a family, under names of their own (``text_model...``)."""
    found: Tensors = {}
    tensors = _tensors(text.weights, text.layers)
    for letter in text.recipe.encoders:
        prefix = f"clip_{letter}."
        own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        if family is None:
            found |= own if len(text.recipe.encoders) == 1 else _prefixed(prefix, own)
            continue
        place = TEXT_PLACES[family, letter][0]
        found |= _prefixed(place, _in_open_clip_layout(own) if place.endswith(".model.") else own)
    return found


def autoencoder_tensors(autoencoder: PictureAutoencoder, *, prefix: str = AUTOENCODER) -> Tensors:
    return _prefixed(prefix, _tensors(autoencoder.weights, ()))


def metadata_of(model: DiffusionModel) -> dict[str, str]:
    """What a file has to say beside the weights to be read again."""
    network = model.network
    if not isinstance(network, StoredUNet) or model.family != "miniature":
        return {}
    files = {source.file for source in network.weights.sources.values()}
    return {miniature.METADATA: next(iter(files)).metadata[miniature.METADATA]}


def write(path: Path, tensors: Tensors, metadata: Mapping[str, str]) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"format": "pt", **metadata})


def _tensors(weights: Weights, layers: Iterable[WeightLayer]) -> Tensors:
    layers = tuple(layers)
    changed = {name for layer in layers for name in layer.patches}
    return {
        name: patched(weights, layers, name).to(tensor.dtype) if name in changed else tensor
        for name, tensor in weights.read()
    }


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


_LAYER = re.compile(r"text_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_OPEN_CLIP_LAYER = {ours: theirs for theirs, ours in OPEN_CLIP_LAYER.items()}
_OPEN_CLIP_TOP_LEVEL = {ours: theirs for theirs, ours in OPEN_CLIP_TOP_LEVEL.items()}


def _in_open_clip_layout(tensors: Tensors) -> Tensors:
    """Query, key and value in one matrix, the projection transposed."""
    made: Tensors = {}
    for name, tensor in tensors.items():
        if name in _OPEN_CLIP_TOP_LEVEL:
            made[_OPEN_CLIP_TOP_LEVEL[name]] = tensor
        elif name == "text_projection.weight":
            made["text_projection"] = tensor.t()
        elif found := _LAYER.fullmatch(name):
            layer, module, kind = found[1], found[2], found[3]
            block = f"transformer.resblocks.{layer}"
            if module in _OPEN_CLIP_LAYER:
                made[f"{block}.{_OPEN_CLIP_LAYER[module]}.{kind}"] = tensor
            elif module == "self_attn.q_proj":
                parts = [tensors[f"text_model.encoder.layers.{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
                made[f"{block}.attn.in_proj_{kind}"] = torch.cat(parts)
    return made
