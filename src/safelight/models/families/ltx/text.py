"""The text encoder of LTX-2: all states of Gemma 3, a projection, and two connectors, which are transformers of their
own, for the video and for the audio. The last two are in the checkpoint of the network.

A prompt is continued with learned tokens up to 1024. In 2.3, the two have a projection each, and no other part of the
network projects them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from safelight.models.families.ltx.blocks import Attention, FeedForward, rms_norm
from safelight.models.families.ltx.positions import Positions
from safelight.models.language.architecture import GEMMA3, DecoderShape, decoder_shape, layer_count
from safelight.models.language.decoder import Decoder
from safelight.models.language.recipe import GEMMA_TOKENS, LanguageRecipe
from safelight.models.operations import Linear
from safelight.models.text.encoder import TextEncoder
from safelight.models.text.encoder_files import encoder_file, title_of
from safelight.models.text.recipe import Encoding, TextRecipe
from safelight.models.weights import UnknownWeights, WeightFile, Weights, weight_file

LEAST = 1024
"""Tokens with those that are learned."""
LARGEST = (4096,)
HEAD_WIDTH = 128
"""Of connectors without gates, which would show it."""
POSITIONS = Positions(splits=True, in_double=True)
EPSILON = 1e-6
KINDS = ("video", "audio")
_PROJECTION = "text_embedding_projection"
_OF_CHECKPOINT = {
    "model.diffusion_model.video_embeddings_connector.": "video_embeddings_connector.",
    "model.diffusion_model.audio_embeddings_connector.": "audio_embeddings_connector.",
    f"{_PROJECTION}.": f"{_PROJECTION}.",
}


@dataclass(frozen=True)
class ConnectorShape:
    """``learned``: tokens that follow a prompt."""

    width: int
    feed_forward: int
    layers: int
    heads: int
    learned: int
    is_gated: bool


@dataclass(frozen=True)
class LtxTextShape:
    """``projected``: widths after the projections: one for both, or one for the video and one for the audio."""

    decoder: DecoderShape
    projected: tuple[int, ...]
    has_bias: bool
    video: ConnectorShape
    audio: ConnectorShape


def ltx_text_shape(shapes: Mapping[str, torch.Size], recipe: LanguageRecipe) -> LtxTextShape:
    """Raises :class:`KeyError` if a weight is missing."""

    def connector(kind: str) -> ConnectorShape:
        prefix = f"{kind}_embeddings_connector"
        block = f"{prefix}.transformer_1d_blocks.0"
        learned, width = shapes[f"{prefix}.learnable_registers"]
        gates = shapes.get(f"{block}.attn1.to_gate_logits.weight")
        return ConnectorShape(
            width=width,
            feed_forward=shapes[f"{block}.ff.net.2.weight"][1],
            layers=layer_count(shapes, f"{prefix}.transformer_1d_blocks"),
            heads=width // HEAD_WIDTH if gates is None else gates[0],
            learned=learned,
            is_gated=gates is not None,
        )

    names = [f"{_PROJECTION}.{kind}_aggregate_embed" for kind in KINDS]
    if f"{names[0]}.weight" not in shapes:
        names = [f"{_PROJECTION}.aggregate_embed"]
    return LtxTextShape(
        decoder=decoder_shape(shapes, recipe.architecture).without_head(),
        projected=tuple(shapes[f"{name}.weight"][0] for name in names),
        has_bias=f"{names[0]}.bias" in shapes,
        video=connector("video"),
        audio=connector("audio"),
    )


@dataclass(frozen=True)
class LtxTextRecipe(LanguageRecipe):
    """Implements :class:`safelight.models.text.recipe.EncoderRecipe`; also writes text, as its language model does."""

    def build(self, weights: Weights) -> Decoder:
        return LtxText(ltx_text_shape(weights.shapes, self))

    def selected(
        self, module: Decoder, embeddings: torch.Tensor, mask: torch.Tensor, layer: int | None, **keywords: Any
    ) -> torch.Tensor:
        assert isinstance(module, LtxText)
        count = module.shape.layers
        output = module(embeddings, states=range(count), **keywords)
        states = torch.stack([*(output.states[state] for state in range(count)), output.final], dim=-1)
        return module.connected(states).float().cpu()

    def encode(self, *arguments: Any, **keywords: Any) -> Encoding:
        return Encoding(super().encode(*arguments, **keywords).hidden)


class LtxText(Decoder):
    def __init__(self, shape: LtxTextShape) -> None:
        super().__init__(shape.decoder)
        self.text_embedding_projection = _Projections(shape)
        self.video_embeddings_connector = Connector(shape.video)
        self.audio_embeddings_connector = Connector(shape.audio)

    def connected(self, states: torch.Tensor) -> torch.Tensor:
        """From all states ``[1, tokens, width, states]`` to the conditioning ``[1, tokens, features]`` for the video,
        and beside it for the audio."""
        video, audio = self.text_embedding_projection(states)
        return torch.cat((self.video_embeddings_connector(video), self.audio_embeddings_connector(audio)), dim=-1)


class _Projections(nn.Module):
    def __init__(self, shape: LtxTextShape) -> None:
        super().__init__()
        features = shape.decoder.width * (shape.decoder.layers + 1)
        self.is_shared = len(shape.projected) == 1
        names = ("",) if self.is_shared else tuple(f"{kind}_" for kind in KINDS)
        for name, width in zip(names, shape.projected, strict=True):
            self.add_module(f"{name}aggregate_embed", Linear(features, width, bias=shape.has_bias))

    def forward(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.is_shared:
            over = (1, 2)
            spread = states.amax(dim=over, keepdim=True) - states.amin(dim=over, keepdim=True)
            normed = 8.0 * (states - states.mean(dim=over, keepdim=True)) / (spread + EPSILON)
            both: torch.Tensor = self.get_submodule("aggregate_embed")(normed.flatten(2))
            return both, both
        normed = states * (states.square().mean(dim=2, keepdim=True) + EPSILON).rsqrt()
        video, audio = (
            self._scaled(self.get_submodule(f"{kind}_aggregate_embed"), normed.flatten(2), states.shape[2])
            for kind in KINDS
        )
        return video, audio

    def _scaled(self, projection: Any, features: torch.Tensor, width: int) -> torch.Tensor:
        result: torch.Tensor = projection(features * math.sqrt(projection.out_features / width))
        return result


class Connector(nn.Module):
    def __init__(self, shape: ConnectorShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.learnable_registers = nn.Parameter(torch.empty(shape.learned, shape.width))
        self.transformer_1d_blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        count, width = text.shape[1:]
        length = max(LEAST, count)
        repeats = -(-length // len(self.learnable_registers))
        learned = self.learnable_registers.to(text).repeat(repeats, 1)[count:]
        hidden = torch.cat((text, learned.expand(len(text), -1, -1)), dim=1)
        places = torch.arange(hidden.shape[1], dtype=torch.float32, device=text.device)
        spans = places[None, None, :, None].expand(1, 1, -1, 2)
        turns = POSITIONS.turns(spans, LARGEST, width=width, heads=self.heads)
        for block in self.transformer_1d_blocks:
            hidden = block(hidden, turns)
        return rms_norm(hidden)


class _Block(nn.Module):
    def __init__(self, shape: ConnectorShape) -> None:
        super().__init__()
        width = shape.width
        self.attn1 = Attention(width, width, width, heads=shape.heads, is_gated=shape.is_gated, splits=True)
        self.ff = FeedForward(width, shape.feed_forward)

    def forward(self, hidden: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
        hidden = hidden + self.attn1(rms_norm(hidden), turns=turns)
        result: torch.Tensor = hidden + self.ff(rms_norm(hidden))
        return result


LANGUAGE = LtxTextRecipe("gemma3", "Gemma 3", GEMMA3, GEMMA_TOKENS)
LTX2_TEXT = TextRecipe(
    {"gemma3_12b": LANGUAGE},
    prefixes={},
    title="LTX-2",
)


def load_ltx_text_encoder(path: Path, checkpoint: Path) -> TextEncoder:
    """Gemma 3 with the connectors in a checkpoint of LTX-2. Raises :class:`UnknownWeights`."""
    found = encoder_file(weight_file(path))
    (recipe,) = LTX2_TEXT.encoders.values()
    if found.kind != recipe.kind:
        raise UnknownWeights(f"{path.name!r} is {title_of(found.kind)}; the text encoder of LTX-2 is Gemma 3")
    weights = found.weights | connector_weights(weight_file(checkpoint))
    try:
        features = weights.shapes["model.embed_tokens.weight"][1]
        ltx_text_shape(weights.shapes, LANGUAGE)
    except KeyError as error:
        raise UnknownWeights(f"{checkpoint.name!r} has no complete connectors of LTX-2: {error} is missing") from None
    name = next(name for name in weights.shapes if name.startswith(_PROJECTION) and name.endswith(".weight"))
    expected = features * (layer_count(weights.shapes, "model.layers") + 1)
    if weights.shapes[name][1] != expected:
        raise UnknownWeights(
            f"{checkpoint.name!r} projects {weights.shapes[name][1]} features of a text encoder, but {path.name!r} has "
            f"{expected}; LTX-2 needs Gemma 3 12B"
        )
    return TextEncoder(weights.prefixed(f"{recipe.kind}."), LTX2_TEXT)


def connector_weights(file: WeightFile) -> Weights:
    """The parts of the text encoder in a checkpoint of LTX-2. Raises :class:`UnknownWeights` if there are none."""
    found = {}
    for name, source in file.weights().sources.items():
        for prefix, own in _OF_CHECKPOINT.items():
            if name.startswith(prefix):
                found[own + name.removeprefix(prefix)] = source
    if not found:
        raise UnknownWeights(
            f"{file.path.name!r} has no connectors of LTX-2 (no weight begins with 'text_embedding_projection.'); "
            "choose the checkpoint of the model"
        )
    return Weights(found)
