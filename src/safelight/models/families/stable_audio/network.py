"""The transformer of Stable Audio Open (Evans et al., "Stable Audio Open", 2024), under the names of its files:
positions of audio, behind one token for the timestep and the times, attend to each other and to the text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.inputs import Inputs
from safelight.models.language.architecture import layer_count
from safelight.models.network_hooks import NetworkHooks
from safelight.models.operations import Linear
from safelight.models.transformer.attention import attend, split_heads

HEAD_WIDTH = 64
LONGEST_S = 512
"""The duration that is 1 for the network."""
TIMES = ("seconds_start", "seconds_total")


@dataclass(frozen=True)
class StableAudioShape:
    """``context``: features of an embedding; ``time_features``: of a timestep; ``number_features``: of a duration."""

    channels: int
    width: int
    context: int
    feed_forward: int
    layers: int
    time_features: int
    number_features: int
    turned: int
    """Features of a head that are turned by the position."""


def stable_audio_shape(shapes: Mapping[str, torch.Size]) -> StableAudioShape:
    """Raises :class:`KeyError` if a weight is missing."""
    width, channels = shapes["transformer.project_in.weight"]
    return StableAudioShape(
        channels=channels,
        width=width,
        context=shapes["to_cond_embed.0.weight"][1],
        feed_forward=shapes["transformer.layers.0.ff.ff.2.weight"][1],
        layers=layer_count(shapes, "transformer.layers"),
        time_features=2 * shapes["timestep_features.weight"][0],
        number_features=2 * shapes[f"{TIMES[0]}.embedder.embedding.0.weights"][0],
        turned=2 * shapes["transformer.rotary_pos_emb.inv_freq"][0],
    )


@dataclass(frozen=True, eq=False)
class StableAudioInputs(Inputs):
    """``context [B, tokens, features]``; ``start`` and ``total [B]``: in seconds."""

    context: torch.Tensor
    start: torch.Tensor
    total: torch.Tensor


@dataclass(frozen=True)
class StableAudioArchitecture:
    shape: StableAudioShape

    def build(self) -> "StableAudio":
        return StableAudio(self.shape)


class StableAudio(nn.Module):
    def __init__(self, shape: StableAudioShape) -> None:
        super().__init__()
        width = shape.width
        self.timestep_features = _Frequencies(shape.time_features)
        self.to_timestep_embed = nn.Sequential(Linear(shape.time_features, width), nn.SiLU(), Linear(width, width))
        self.to_cond_embed = _two_layers(shape.context, shape.context)
        self.to_global_embed = _two_layers(len(TIMES) * shape.context, width)
        self.transformer = _Transformer(shape)
        self.preprocess_conv = nn.Conv1d(shape.channels, shape.channels, 1, bias=False)
        self.postprocess_conv = nn.Conv1d(shape.channels, shape.channels, 1, bias=False)
        for name in TIMES:
            self.add_module(name, _Duration(shape))

    def forward(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: StableAudioInputs,
        *,
        control: Any = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """See :class:`safelight.models.network.Predict`; ``x [B, C, positions]``. Computes in the type of the
        weights."""
        dtype = self.preprocess_conv.weight.dtype
        times = [self.get_submodule(name)(s) for name, s in zip(TIMES, (inputs.start, inputs.total), strict=True)]
        text = self.to_cond_embed(torch.cat((inputs.context, *(one[:, None] for one in times)), dim=1).to(dtype))
        whole = self.to_global_embed(torch.cat(times, dim=-1).to(dtype))
        whole = whole + self.to_timestep_embed(self.timestep_features(timestep).to(dtype))
        audio = x.to(dtype)
        audio = self.preprocess_conv(audio) + audio
        made = self.transformer(audio.transpose(1, 2), whole[:, None], text).transpose(1, 2)
        result: torch.Tensor = self.postprocess_conv(made) + made
        return result.float()


def _two_layers(features: int, width: int) -> nn.Sequential:
    return nn.Sequential(Linear(features, width, bias=False), nn.SiLU(), Linear(width, width, bias=False))


class _Frequencies(nn.Module):
    """A timestep at learned frequencies."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features // 2, 1))

    def forward(self, timestep: torch.Tensor) -> torch.Tensor:
        angles = 2 * math.pi * timestep[:, None].float() @ self.weight.T.float()
        return torch.cat((angles.cos(), angles.sin()), dim=-1)


class _Times(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(features // 2))

    def forward(self, share: torch.Tensor) -> torch.Tensor:
        angles = share[:, None] * self.weights.float() * (2 * math.pi)
        return torch.cat((share[:, None], angles.sin(), angles.cos()), dim=-1)


class _Embedder(nn.Module):
    def __init__(self, shape: StableAudioShape) -> None:
        super().__init__()
        self.embedding = nn.Sequential(_Times(shape.number_features), Linear(shape.number_features + 1, shape.context))


class _Duration(nn.Module):
    """From seconds ``[B]`` to features of an embedding."""

    def __init__(self, shape: StableAudioShape) -> None:
        super().__init__()
        self.embedder = _Embedder(shape)

    def forward(self, seconds: torch.Tensor) -> torch.Tensor:
        times, projection = self.embedder.embedding
        features = times(seconds.float().clamp(0, LONGEST_S) / LONGEST_S)
        result: torch.Tensor = projection(features.to(projection.weight.dtype))
        return result


class _Rotary(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", torch.empty(features // 2))

    def angles(self, length: int, device: torch.device) -> torch.Tensor:
        return torch.outer(
            torch.arange(length, dtype=torch.float32, device=device), self.get_buffer("inv_freq").float()
        )


class _Transformer(nn.Module):
    def __init__(self, shape: StableAudioShape) -> None:
        super().__init__()
        self.project_in = Linear(shape.channels, shape.width, bias=False)
        self.project_out = Linear(shape.width, shape.channels, bias=False)
        self.rotary_pos_emb = _Rotary(shape.turned)
        self.layers = nn.ModuleList(_Block(shape) for _ in range(shape.layers))

    def forward(self, audio: torch.Tensor, first: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """``first``: a token before the audio, which is dropped at the end."""
        hidden = torch.cat((first, self.project_in(audio)), dim=1)
        angles = self.rotary_pos_emb.angles(hidden.shape[1], hidden.device)
        for layer in self.layers:
            hidden = layer(hidden, text, angles)
        result: torch.Tensor = self.project_out(hidden)[:, first.shape[1] :]
        return result


class _Norm(nn.Module):
    """A layer norm without an offset."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(hidden, hidden.shape[-1:], self.gamma)


class _SelfAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_qkv = Linear(width, 3 * width, bias=False)
        self.to_out = Linear(width, width, bias=False)
        self.heads = width // HEAD_WIDTH

    def forward(self, hidden: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        q, k, v = (split_heads(part, self.heads) for part in self.to_qkv(hidden).chunk(3, dim=-1))
        result: torch.Tensor = self.to_out(attend(_turned(q, angles), _turned(k, angles), v))
        return result


class _CrossAttention(nn.Module):
    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.to_q = Linear(width, width, bias=False)
        self.to_kv = Linear(context, 2 * context, bias=False)
        self.to_out = Linear(width, width, bias=False)
        self.heads, self.key_heads = width // HEAD_WIDTH, context // HEAD_WIDTH

    def forward(self, hidden: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        k, v = (split_heads(part, self.key_heads) for part in self.to_kv(text).chunk(2, dim=-1))
        result: torch.Tensor = self.to_out(attend(split_heads(self.to_q(hidden), self.heads), k, v))
        return result


class _Gated(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = Linear(width, 2 * inner)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        value, gate = self.proj(hidden).chunk(2, dim=-1)
        gated: torch.Tensor = value * functional.silu(gate)
        return gated


class _FeedForward(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.ff = nn.Sequential(_Gated(width, inner), nn.Identity(), Linear(inner, width))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.ff(hidden)
        return result


class _Block(nn.Module):
    def __init__(self, shape: StableAudioShape) -> None:
        super().__init__()
        self.pre_norm = _Norm(shape.width)
        self.self_attn = _SelfAttention(shape.width)
        self.cross_attend_norm = _Norm(shape.width)
        self.cross_attn = _CrossAttention(shape.width, shape.context)
        self.ff_norm = _Norm(shape.width)
        self.ff = _FeedForward(shape.width, shape.feed_forward)

    def forward(self, hidden: torch.Tensor, text: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        hidden = hidden + self.self_attn(self.pre_norm(hidden), angles)
        hidden = hidden + self.cross_attn(self.cross_attend_norm(hidden), text)
        result: torch.Tensor = hidden + self.ff(self.ff_norm(hidden))
        return result


def _turned(heads: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """The first features of each head turned by their position, in two halves."""
    half = angles.shape[-1]
    first, second, rest = heads[..., :half].float(), heads[..., half : 2 * half].float(), heads[..., 2 * half :]
    cosines, sines = angles.cos(), angles.sin()
    pair = (first * cosines - second * sines, second * cosines + first * sines)
    return torch.cat((*(part.to(heads.dtype) for part in pair), rest), dim=-1)
