"""Transfer the colors of one image to another. Images here are ``[..., 3]`` of sRGB in 0..1.

E. Reinhard et al., "Color Transfer between Images" (2001), here in CIELAB; F. Pitie and A. Kokaram, "The linear
Monge-Kantorovitch linear colour mapping for example-based colour transfer" (2007); and the matching of cumulative
histograms, channel by channel.
"""

from collections.abc import Callable

import torch

WHITE = (0.95047, 1.0, 1.08883)
"""XYZ of D65."""

TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))

BEND = 6 / 29
"""Where CIELAB's cube root becomes linear."""


def transfer(image: torch.Tensor, *, source: torch.Tensor, reference: torch.Tensor, method: str) -> torch.Tensor:
    """Map ``image`` by the transform that gives ``source`` the colors of ``reference``."""
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    return METHODS[method](image, source, reference)


def to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """CIELAB: L in 0..100."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    xyz = linear @ rgb.new_tensor(TO_XYZ).T / rgb.new_tensor(WHITE)
    x, y, z = torch.where(xyz > BEND**3, xyz.clamp(min=0) ** (1 / 3), xyz / (3 * BEND**2) + 4 / 29).unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def from_lab(lab: torch.Tensor) -> torch.Tensor:
    """sRGB; out-of-gamut colors are outside 0..1."""
    lightness, a, b = lab.unbind(-1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], dim=-1)
    xyz = torch.where(f > BEND, f**3, 3 * BEND**2 * (f - 4 / 29)) * lab.new_tensor(WHITE)
    linear = xyz @ torch.linalg.inv(lab.new_tensor(TO_XYZ)).T
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=0) ** (1 / 2.4) - 0.055)


def _reinhard(image: torch.Tensor, source: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    lab, from_, to = (to_lab(one).reshape(-1, 3) for one in (image, source, reference))
    spread = to.std(dim=0, correction=0) / from_.std(dim=0, correction=0).clamp(min=1e-6)
    return from_lab((lab - from_.mean(dim=0)) * spread + to.mean(dim=0)).reshape(image.shape)


def _monge_kantorovich(image: torch.Tensor, source: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    lab, from_, to = (to_lab(one).reshape(-1, 3).double() for one in (image, source, reference))
    root = _square_root(_covariance(from_))
    inverse = torch.linalg.inv(root)
    mapping = inverse @ _square_root(root @ _covariance(to) @ root) @ inverse
    moved = (lab - from_.mean(dim=0)) @ mapping + to.mean(dim=0)
    return from_lab(moved.to(image.dtype)).reshape(image.shape)


def _covariance(pixels: torch.Tensor) -> torch.Tensor:
    """The covariance of ``[N, 3]``, with a small value added so that it can be inverted for an image of one color."""
    centred = pixels - pixels.mean(dim=0)
    return centred.T @ centred / len(pixels) + 1e-6 * torch.eye(3, dtype=pixels.dtype, device=pixels.device)


def _square_root(matrix: torch.Tensor) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: torch.Tensor = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    return root


def _histogram(image: torch.Tensor, source: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Match 256 levels: a level maps to the lowest level of the reference with the same cumulative share of pixels."""
    channels = []
    for channel in range(3):
        levels = _to_levels(image[..., channel])
        wanted = _cumulative(reference[..., channel])
        level_of = torch.searchsorted(wanted, _cumulative(source[..., channel])).clamp(max=255)
        channels.append(level_of[levels].to(image.dtype) / 255)
    return torch.stack(channels, dim=-1)


def _to_levels(plane: torch.Tensor) -> torch.Tensor:
    return (plane * 255).round().clamp(0, 255).long()


def _cumulative(plane: torch.Tensor) -> torch.Tensor:
    counts = torch.bincount(_to_levels(plane).flatten(), minlength=256)
    return counts.cumsum(0).double() / plane.numel()


METHODS: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "reinhard_lab": _reinhard,
    "mkl_lab": _monge_kantorovich,
    "histogram": _histogram,
}
