"""The kinds of text encoder files, told by names and shapes, and the weights of each under its network's names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from safelight.models.language.file_names import DECODER_KINDS, decoder_kind, decoder_weights, t5_weights
from safelight.models.text.clip_weights import clip_weights
from safelight.models.text.encoder_module import text_shape
from safelight.models.text.t5 import t5_shape
from safelight.models.weights import UnknownWeights, WeightFile, Weights

_WORDS = 10_000
"""A smaller vocabulary is of bytes."""

ReadWeights = Callable[[WeightFile], Weights]
"""The weights in a file; empty if it is of another kind. Reads only the header."""


@dataclass(frozen=True)
class EncoderFile:
    """A file of one kind: ``kind`` is a key of :data:`ENCODER_FILES`."""

    kind: str
    weights: Weights


def encoder_file(file: WeightFile) -> EncoderFile:
    """Tell which text encoder a file contains. Raises :class:`UnknownWeights`."""
    found = [EncoderFile(kind, weights) for kind, (_, read) in ENCODER_FILES.items() if (weights := read(file))]
    if len(found) == 1:
        return found[0]
    name = file.path.name
    if found:
        raise UnknownWeights(f"{name!r} could be any of {', '.join(title_of(one.kind) for one in found)}")
    if clip := _clip_weights(file):
        raise UnknownWeights(
            f"{name!r} contains a CLIP text encoder {text_shape(clip.shapes).width} features wide; "
            "supported widths are 768, 1024 and 1280"
        )
    supported = ", ".join(title for title, _ in ENCODER_FILES.values())
    raise UnknownWeights(f"{name!r} contains no supported text encoder; supported are {supported}")


def in_checkpoint(kind: str, weights: Weights) -> Weights:
    """The weights of an encoder of this kind from below its prefix in a checkpoint, under its network's names."""
    return clip_weights(weights) if kind.startswith("clip_") else weights


def title_of(kind: str) -> str:
    """The name of a kind in messages."""
    return ENCODER_FILES[kind][0]


def _clip(width: int) -> ReadWeights:
    def read(file: WeightFile) -> Weights:
        weights = _clip_weights(file)
        return weights if weights and text_shape(weights.shapes).width == width else Weights({})

    return read


def _clip_weights(file: WeightFile) -> Weights:
    found = (clip_weights(file.weights(prefix)) for prefix in ("", "text_encoder.", "transformer."))
    return next((weights for weights in found if weights), Weights({}))


def _t5(*, has_own_biases: bool, reads_bytes: bool = False) -> ReadWeights:
    def read(file: WeightFile) -> Weights:
        weights = t5_weights(file)
        if not weights:
            return weights
        shape = t5_shape(weights.shapes)
        is_kind = (shape.has_own_biases, shape.vocabulary < _WORDS) == (has_own_biases, reads_bytes)
        return weights if is_kind else Weights({})

    return read


def _decoder(kind: str) -> ReadWeights:
    def read(file: WeightFile) -> Weights:
        weights = decoder_weights(file)
        return weights if weights and decoder_kind(weights) == kind else Weights({})

    return read


ENCODER_FILES: Mapping[str, tuple[str, ReadWeights]] = {
    "clip_l": ("CLIP L", _clip(768)),
    "clip_h": ("CLIP H", _clip(1024)),
    "clip_g": ("CLIP G", _clip(1280)),
    "t5xxl": ("T5", _t5(has_own_biases=False)),
    "byt5": ("byT5", _t5(has_own_biases=False, reads_bytes=True)),
    "umt5xxl": ("UMT5", _t5(has_own_biases=True)),
    **{kind: (title, _decoder(kind)) for kind, title in DECODER_KINDS.items()},
}
"""By kind, its name in messages and how its files are read."""
