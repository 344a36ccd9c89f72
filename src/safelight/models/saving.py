"""Save models to files: every weight under its layers, in the layout and number type of the files that it came from."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from safelight.core.errors import Invalid
from safelight.models.autoencoder.image_autoencoder import ImageAutoencoder
from safelight.models.checkpoint import AUTOENCODER
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.families.registry import NETWORK
from safelight.models.merging import patched_weight
from safelight.models.stored_network import StoredNetwork
from safelight.models.text.clip_weights import OPEN_CLIP_LAYER, OPEN_CLIP_TOP_LEVEL
from safelight.models.text.encoder import TextEncoder
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import Weights

Tensors = dict[str, torch.Tensor]


class NotSavable(Invalid):
    """A value of this kind cannot be written to a file."""

    code = "not_stored"


def model_tensors(model: DiffusionModel) -> Tensors:
    """Weights below ``model.diffusion_model.``. Raises :class:`NotSavable`."""
    network = model.network
    if not isinstance(network, StoredNetwork):
        raise NotSavable(f"a model of type {type(network).__name__!r} has no weights of its own to save")
    return _prefixed(NETWORK, _tensors(network.weights, network.layers))


def text_tensors(text: TextEncoder, *, in_checkpoint: bool) -> Tensors:
    """Weights under the prefixes of the family's checkpoints; otherwise under their own names (``text_model...``),
    below the encoder's kind if there are several. Raises :class:`NotSavable`."""
    found: Tensors = {}
    tensors = _tensors(text.weights, text.layers)
    for key, recipe in text.recipe.encoders.items():
        own_prefix = f"{recipe.kind}."
        own = {name.removeprefix(own_prefix): t for name, t in tensors.items() if name.startswith(own_prefix)}
        if not in_checkpoint:
            found |= own if len(text.recipe.encoders) == 1 else _prefixed(own_prefix, own)
            continue
        if key not in text.recipe.prefixes:
            raise NotSavable(f"checkpoints have no place for a text encoder of kind {recipe.kind!r}; save it alone")
        prefix = text.recipe.prefixes[key][0]
        found |= _prefixed(prefix, _in_open_clip_layout(own) if prefix.endswith(".model.") else own)
    return found


def autoencoder_tensors(autoencoder: ImageAutoencoder, *, prefix: str = AUTOENCODER) -> Tensors:
    return _prefixed(prefix, _tensors(autoencoder.weights, ()))


def metadata_of(model: DiffusionModel) -> dict[str, str]:
    """Metadata that the file needs besides the weights to be loaded again."""
    network = model.network
    if not isinstance(network, StoredNetwork):
        return {}
    files = {source.file for source in network.weights.sources.values()}
    kept: dict[str, str] = {}
    for file in files:
        kept |= {key: value for key, value in file.metadata.items() if key.startswith("safelight.")}
    return kept


def write(path: Path, tensors: Tensors, metadata: Mapping[str, str]) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"format": "pt", **metadata})


def _tensors(weights: Weights, layers: Iterable[WeightLayer]) -> Tensors:
    layers = tuple(layers)
    changed = {name for layer in layers for name in layer.patches}
    return {
        name: patched_weight(weights, layers, name).to(tensor.dtype) if name in changed else tensor
        for name, tensor in weights.read()
    }


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


_LAYER = re.compile(r"text_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_OPEN_CLIP_LAYER = {ours: theirs for theirs, ours in OPEN_CLIP_LAYER.items()}
_OPEN_CLIP_TOP_LEVEL = {ours: theirs for theirs, ours in OPEN_CLIP_TOP_LEVEL.items()}


def _in_open_clip_layout(tensors: Tensors) -> Tensors:
    """Rename to OpenCLIP's layout: query, key and value in one matrix, and the projection transposed."""
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
