"""The autoencoder of MiniMax H3's sound, under the names of its files: a convolutional encoder (Kumar et al., "DAC",
2023), attention that narrows its features to the latent's, and BigVGAN (Lee et al. 2023) as decoder. It is for one
channel; stereo is two items of a batch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.language.architecture import layer_count

MARK = "pre_block.attn.zero_k_bias"
SAMPLE_RATE = 32000
DILATIONS = (1, 3, 9)
_BLOCK_DILATIONS = (1, 3, 5)
HEADS = 8
_EPSILON = 1e-9
_TAPS = 12
"""Of the filters around activations."""


@dataclass(frozen=True)
class H3AudioShape:
    """The autoencoder as its weights show it. ``widths`` and ``strides``: of the encoder, the finest first. ``steps``:
    of the decoder, kernels and strides. ``kernels``: of its parallel blocks. ``has_statistics``: whether the file has
    the mean and the deviation of latents."""

    latent: int
    inner: int
    widths: tuple[int, ...]
    strides: tuple[int, ...]
    start: int
    steps: tuple[tuple[int, int], ...]
    kernels: tuple[int, ...]
    has_statistics: bool = False

    @property
    def samples(self) -> int:
        """Samples per position."""
        return math.prod(self.strides)


def h3_audio_shape(shapes: Mapping[str, torch.Size]) -> H3AudioShape:
    """Raises :class:`KeyError` if a weight is missing."""
    widths, strides = [shapes["encoder.block.0.weight_v"][0]], []
    while (name := f"encoder.block.{len(widths)}.block.4.weight_v") in shapes:
        out, _, kernel = shapes[name]
        widths.append(out)
        strides.append(kernel // 2)
    count = layer_count(shapes, "decoder.ups")
    blocks = layer_count(shapes, "decoder.resblocks")
    kernels = tuple(shapes[f"decoder.ups.{number}.0.weight_v"][2] for number in range(count))
    return H3AudioShape(
        latent=shapes["mean_proj.weight"][0],
        inner=shapes["dec_in_proj.weight"][0],
        widths=tuple(widths),
        strides=tuple(strides),
        start=shapes["decoder.conv_pre.weight_v"][0],
        steps=tuple((kernel, (kernel + 1) // 2) for kernel in kernels),
        kernels=tuple(shapes[f"decoder.resblocks.{n}.convs1.0.weight_v"][2] for n in range(blocks // count)),
        has_statistics="latents_mean" in shapes,
    )


class H3AudioAutoencoder(nn.Module):
    def __init__(self, shape: H3AudioShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = _Encoder(shape)
        self.pre_block = _Narrowing(shape.inner, shape.latent)
        self.mean_proj = nn.Conv1d(shape.latent, shape.latent, 1)
        self.logs_proj = nn.Conv1d(shape.latent, shape.latent, 1)
        self.dec_in_proj = nn.Conv1d(shape.latent, shape.inner, 1)
        self.decoder = _Decoder(shape)
        if shape.has_statistics:
            self.latents_mean = nn.Parameter(torch.empty(shape.latent))
            self.latents_std = nn.Parameter(torch.empty(shape.latent))

    def encode(self, waveform: torch.Tensor) -> torch.Tensor:
        """``[B, 1, samples]`` to the normalised mean of the latent, ``[B, C, positions]``; filled up with silence."""
        waveform = functional.pad(waveform, (0, -waveform.shape[-1] % self.shape.samples))
        hidden = self.pre_block(self.encoder(waveform).transpose(1, 2)).transpose(1, 2)
        mean: torch.Tensor = self.mean_proj(hidden)
        if self.shape.has_statistics:
            mean = (mean - self.latents_mean[:, None]) / self.latents_std[:, None]
        return mean

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """``[B, C, positions]`` to ``[B, 1, samples]`` in -1..1."""
        if self.shape.has_statistics:
            latent = latent * self.latents_std[:, None] + self.latents_mean[:, None]
        result: torch.Tensor = self.decoder(self.dec_in_proj(latent))
        return result


class _Normed(nn.Module):
    """The weight of a convolution as length and direction (Salimans and Kingma 2016)."""

    def __init__(self, out: int, channels: int, kernel: int, *, turned: bool = False, bias: bool = True) -> None:
        """``turned``: of a transposed convolution, whose weight begins with its inputs."""
        super().__init__()
        first, second = (channels, out) if turned else (out, channels)
        self.weight_g = nn.Parameter(torch.empty(first, 1, 1))
        self.weight_v = nn.Parameter(torch.empty(first, second, kernel))
        if bias:
            self.bias = nn.Parameter(torch.empty(out))

    def weight(self) -> torch.Tensor:
        lengths = self.weight_v.flatten(1).norm(dim=1)[:, None, None]
        result: torch.Tensor = self.weight_v * (self.weight_g / lengths)
        return result

    def added(self) -> torch.Tensor | None:
        return self.bias if hasattr(self, "bias") else None


class _Conv(_Normed):
    def __init__(
        self, channels: int, out: int, kernel: int, *, stride: int = 1, dilation: int = 1, bias: bool = True
    ) -> None:
        super().__init__(out, channels, kernel, bias=bias)
        self.stride, self.dilation = stride, dilation
        self.padding = (kernel - 1) * dilation // 2 if stride == 1 else -(-stride // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv1d(
            x, self.weight(), self.added(), stride=self.stride, padding=self.padding, dilation=self.dilation
        )


class _Upwards(_Normed):
    def __init__(self, channels: int, out: int, kernel: int, stride: int) -> None:
        super().__init__(out, channels, kernel, turned=True)
        self.stride, self.padding = stride, (kernel - stride) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv_transpose1d(x, self.weight(), self.added(), stride=self.stride, padding=self.padding)


class _Snake(nn.Module):
    """``x + sin^2(alpha x) / alpha`` (Liu et al. 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(1, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.sin(self.alpha * x).square() / (self.alpha + _EPSILON)


class _Residual(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        convolved = _Conv(channels, channels, 7, dilation=dilation)
        self.block = nn.Sequential(_Snake(channels), convolved, _Snake(channels), _Conv(channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = x + self.block(x)
        return result


class _EncoderBlock(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        residuals = [_Residual(channels, dilation) for dilation in DILATIONS]
        self.block = nn.Sequential(*residuals, _Snake(channels), _Conv(channels, out, 2 * stride, stride=stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.block(x)
        return result


class _Encoder(nn.Module):
    def __init__(self, shape: H3AudioShape) -> None:
        super().__init__()
        steps = zip(shape.widths, shape.widths[1:], shape.strides, strict=False)
        last = shape.widths[-1]
        self.block = nn.Sequential(
            _Conv(1, shape.widths[0], 7),
            *(_EncoderBlock(*step) for step in steps),
            _Snake(last),
            _Conv(last, shape.inner, 3),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.block(x)
        return result


class _Attention(nn.Module):
    """Causal. Heads are averaged, and what is left of their features is averaged to fewer."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.out = out
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias, self.v_bias = nn.Parameter(torch.empty(width)), nn.Parameter(torch.empty(width))
        self.zero_k_bias = nn.Parameter(torch.empty(width))
        self.proj = nn.Linear(out, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = torch.cat((self.q_bias, self.zero_k_bias, self.v_bias))
        mixed = self.qkv(x) + bias
        q, k, v = mixed.reshape(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True).mean(dim=1)
        result: torch.Tensor = self.proj(functional.adaptive_avg_pool1d(attended, self.out))
        return result


class _Gated(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.w0, self.w1 = nn.Linear(width, 2 * width), nn.Linear(width, 2 * width)
        self.w2 = nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        result: torch.Tensor = self.w2(functional.gelu(self.w0(x), approximate="tanh") * self.w1(x))
        return result


class _Narrowing(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(out), nn.LayerNorm(width)
        self.attn = _Attention(width, out)
        self.proj = nn.Linear(width, out)
        self.mlp = _Gated(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.proj(self.norm3(x)) + self.attn(self.norm1(x))
        result: torch.Tensor = x + self.mlp(self.norm2(x))
        return result


class _SnakeBeta(nn.Module):
    """A snake with a height of its own; both numbers are logarithms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(channels))
        self.beta = nn.Parameter(torch.empty(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wave = torch.sin(self.alpha.exp()[:, None] * x).square()
        return x + wave / (self.beta.exp()[:, None] + _EPSILON)


class _Filter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.empty(1, 1, _TAPS))

    def taps(self, channels: int) -> torch.Tensor:
        return self.filter.expand(channels, -1, -1)


class _Halving(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lowpass = _Filter()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        channels = x.shape[1]
        x = functional.pad(x, (_TAPS // 2 - 1, _TAPS // 2), mode="replicate")
        return functional.conv1d(x, self.lowpass.taps(channels), stride=2, groups=channels)


class _Doubling(_Filter):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        channels, around = x.shape[1], _TAPS // 2 - 1
        x = functional.pad(x, (around, around), mode="replicate")
        x = 2 * functional.conv_transpose1d(x, self.taps(channels), stride=2, groups=channels)
        cut = 2 * around + (_TAPS - 2) // 2
        return x[..., cut : x.shape[-1] - cut]


class _Activation(nn.Module):
    """At twice the rate, between two filters, so that what it adds is not aliased."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.act = _SnakeBeta(channels)
        self.upsample = _Doubling()
        self.downsample = _Halving()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.downsample(self.act(self.upsample(x)))
        return result


class _DecoderBlock(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_Conv(channels, channels, kernel, dilation=one) for one in _BLOCK_DILATIONS)
        self.convs2 = nn.ModuleList(_Conv(channels, channels, kernel) for _ in _BLOCK_DILATIONS)
        self.activations = nn.ModuleList(_Activation(channels) for _ in range(2 * len(_BLOCK_DILATIONS)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number, (first, second) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            hidden = first(self.activations[2 * number](x))
            x = x + second(self.activations[2 * number + 1](hidden))
        return x


class _Decoder(nn.Module):
    def __init__(self, shape: H3AudioShape) -> None:
        super().__init__()
        widths = [shape.start // 2**number for number in range(len(shape.steps) + 1)]
        self.conv_pre = _Conv(shape.inner, shape.start, 7)
        self.ups = nn.ModuleList(
            nn.ModuleList([_Upwards(widths[number], widths[number + 1], *step)])
            for number, step in enumerate(shape.steps)
        )
        self.resblocks = nn.ModuleList(_DecoderBlock(width, k) for width in widths[1:] for k in shape.kernels)
        self.parallel = len(shape.kernels)
        self.activation_post = _Activation(widths[-1])
        self.conv_post = _Conv(widths[-1], 1, 7, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_pre(x)
        for number, up in enumerate(self.ups):
            x = up[0](x)  # type: ignore[index]
            blocks = self.resblocks[number * self.parallel : (number + 1) * self.parallel]
            x = torch.stack([block(x) for block in blocks]).sum(dim=0) / self.parallel
        result: torch.Tensor = self.conv_post(self.activation_post(x)).clamp(-1, 1)
        return result
