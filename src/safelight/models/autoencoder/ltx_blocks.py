"""The blocks of LTX-Video's autoencoder: convolutions in time and space, residual blocks, and changes of size that fold
positions into channels."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Linear
from safelight.models.unet.unet_module import sinusoids

Stride = tuple[int, int, int]
"""In time, height and width."""
TIME_FEATURES = 256

Padding = Literal["zeros", "reflect", "replicate", "circular"]
"""Of pixels beyond the border."""


def pixel_norm(hidden: torch.Tensor) -> torch.Tensor:
    """Each position divided by the root mean square of its channels."""
    return hidden / (hidden.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


class Convolution(nn.Module):
    """Of 3 frames and 3x3 pixels. Frames before the first repeat it; if it is not causal, it sees one frame before and
    one after, and those after the last repeat the last."""

    def __init__(self, channels: int, out: int, *, stride: Stride = (1, 1, 1), padding: Padding) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, out, 3, stride=stride, padding=(0, 1, 1), padding_mode=padding)

    def forward(self, frames: torch.Tensor, *, is_causal: bool = True) -> torch.Tensor:
        before = frames[:, :, :1]
        parts = [before, before, frames] if is_causal else [before, frames, frames[:, :, -1:]]
        result: torch.Tensor = self.conv(torch.cat(parts, dim=2))
        return result


class StridedConvolution(Convolution):
    """Halves what ``stride`` says."""


class Downsample(nn.Module):
    """Folds positions into channels, and adds the means of the channels that fall together."""

    def __init__(self, channels: int, out: int, *, stride: Stride, padding: Padding) -> None:
        super().__init__()
        self.stride, self.out = stride, out
        self.conv = Convolution(channels, out // (stride[0] * stride[1] * stride[2]), padding=padding)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        if self.stride[0] == 2:
            frames = torch.cat((frames[:, :, :1], frames), dim=2)
        kept = _folded(frames, self.stride)
        means = kept.reshape(len(kept), self.out, -1, *kept.shape[2:]).mean(dim=2)
        made: torch.Tensor = _folded(self.conv(frames), self.stride) + means
        return made


class Upsample(nn.Module):
    """Unfolds channels into positions. ``adds_input``: adds the unfolded input, repeated."""

    def __init__(self, channels: int, out: int, *, stride: Stride, adds_input: bool, padding: Padding) -> None:
        super().__init__()
        self.stride, self.adds_input, self.out = stride, adds_input, out
        self.conv = Convolution(channels, out * stride[0] * stride[1] * stride[2], padding=padding)

    def forward(self, frames: torch.Tensor, *, is_causal: bool) -> torch.Tensor:
        made = self._unfolded(self.conv(frames, is_causal=is_causal))
        if not self.adds_input:
            return made
        kept = self._unfolded(frames)
        return made + kept.repeat(1, self.out // kept.shape[1], 1, 1, 1)

    def _unfolded(self, frames: torch.Tensor) -> torch.Tensor:
        """The first of each two frames at the beginning is dropped: the first latent frame is one frame."""
        unfolded = _unfolded(frames, self.stride)
        return unfolded[:, :, 1:] if self.stride[0] == 2 else unfolded


class _TimestepLayers(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(TIME_FEATURES, width)
        self.linear_2 = Linear(width, width)


class TimestepEmbedding(nn.Module):
    """From a timestep, a scalar, to ``[1, width]``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.timestep_embedder = _TimestepLayers(width)

    def forward(self, timestep: torch.Tensor) -> torch.Tensor:
        layers = self.timestep_embedder
        features = sinusoids(timestep.reshape(1), TIME_FEATURES).to(timestep.dtype)
        result: torch.Tensor = layers.linear_2(functional.silu(layers.linear_1(features)))
        return result


class _ChannelNorm(nn.Module):
    """A layer norm over the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.norm(hidden.movedim(1, -1)).movedim(-1, 1)
        return result


class Residual(nn.Module):
    """``adds_noise``: after each convolution, noise that is the same in all frames and channels, with a factor for each
    channel (Karras et al., "A Style-Based Generator", 2019)."""

    def __init__(
        self, channels: int, out: int, *, padding: Padding, adds_noise: bool = False, is_timed: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, out, padding=padding)
        self.conv2 = Convolution(out, out, padding=padding)
        self.adds_noise = adds_noise
        if adds_noise:
            self.per_channel_scale1 = nn.Parameter(torch.empty(channels, 1, 1))
            self.per_channel_scale2 = nn.Parameter(torch.empty(channels, 1, 1))
        if channels != out:
            self.norm3 = _ChannelNorm(channels)
            self.conv_shortcut = nn.Conv3d(channels, out, 1)
        if is_timed:
            self.scale_shift_table = nn.Parameter(torch.empty(4, channels))

    def forward(
        self,
        frames: torch.Tensor,
        *,
        is_causal: bool = True,
        timestep: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """``timestep``: the embedding ``[1, 4 * channels]``, of blocks that are timed."""
        shifts = self._shifts(timestep)
        hidden = pixel_norm(frames)
        if shifts is not None:
            hidden = hidden * (1 + shifts[1]) + shifts[0]
        hidden = self.conv1(functional.silu(hidden), is_causal=is_causal)
        hidden = pixel_norm(self._with_noise(hidden, 1, generator))
        if shifts is not None:
            hidden = hidden * (1 + shifts[3]) + shifts[2]
        hidden = self._with_noise(self.conv2(functional.silu(hidden), is_causal=is_causal), 2, generator)
        kept = self.conv_shortcut(self.norm3(frames)) if hasattr(self, "norm3") else frames
        result: torch.Tensor = kept + hidden
        return result

    def _shifts(self, timestep: torch.Tensor | None) -> tuple[torch.Tensor, ...] | None:
        if timestep is None or not hasattr(self, "scale_shift_table"):
            return None
        table = self.scale_shift_table
        return tuple((table + timestep.reshape(-1, *table.shape))[..., None, None, None].unbind(1))

    def _with_noise(self, hidden: torch.Tensor, number: int, generator: torch.Generator | None) -> torch.Tensor:
        if not self.adds_noise:
            return hidden
        scale = self.get_parameter(f"per_channel_scale{number}")
        noise = torch.randn(hidden.shape[-2:], generator=generator).to(hidden)
        return hidden + (noise * scale)[:, None]


class ResidualGroup(nn.Module):
    """Residual blocks in a row, which share the embedding of a timestep."""

    def __init__(
        self, channels: int, layers: int, *, padding: Padding, adds_noise: bool = False, is_timed: bool = False
    ) -> None:
        super().__init__()
        if is_timed:
            self.time_embedder = TimestepEmbedding(4 * channels)
        self.res_blocks = nn.ModuleList(
            Residual(channels, channels, padding=padding, adds_noise=adds_noise, is_timed=is_timed)
            for _ in range(layers)
        )

    def forward(
        self,
        frames: torch.Tensor,
        *,
        is_causal: bool = True,
        timestep: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        embedding = self.time_embedder(timestep) if timestep is not None and hasattr(self, "time_embedder") else None
        for block in self.res_blocks:
            frames = block(frames, is_causal=is_causal, timestep=embedding, generator=generator)
        return frames


def _folded(frames: torch.Tensor, stride: Stride) -> torch.Tensor:
    """``[B, C, frames, h, w]``: boxes of ``stride`` become channels, which change faster than ``C``."""
    batch, channels, *sizes = frames.shape
    time, height, width = (size // step for size, step in zip(sizes, stride, strict=True))
    boxes = frames.reshape(batch, channels, time, stride[0], height, stride[1], width, stride[2])
    return boxes.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, -1, time, height, width)


def _unfolded(frames: torch.Tensor, stride: Stride) -> torch.Tensor:
    batch, _, time, height, width = frames.shape
    boxes = frames.reshape(batch, -1, *stride, time, height, width)
    whole = boxes.permute(0, 1, 5, 2, 6, 3, 7, 4)
    return whole.reshape(batch, -1, time * stride[0], height * stride[1], width * stride[2])
