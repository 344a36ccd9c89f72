"""Nodes that compute a pixel from its neighborhood: blur, sharpen, morphology."""

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

from safelight.sdk import Node, NodeOutput, Schema, io


class ImageBlur(Node):
    """Blur an image with a Gaussian kernel."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageBlur",
            category="image/postprocessing",
            inputs=[
                io.Image.Input("image"),
                io.Int.Input("blur_radius", default=1, min=1, max=31, step=1),
                io.Float.Input("sigma", default=1.0, min=0.1, max=10.0, step=0.1),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, blur_radius: int, sigma: float) -> NodeOutput:
        if blur_radius == 0:
            return NodeOutput(image)
        return NodeOutput(convolve(image, gaussian(2 * blur_radius + 1, sigma, like=image)))


class ImageSharpen(Node):
    """Sharpen an image by adding back what a Gaussian blur removes. "alpha" is the strength."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageSharpen",
            category="image/postprocessing",
            inputs=[
                io.Image.Input("image"),
                io.Int.Input("sharpen_radius", default=1, min=1, max=31, step=1),
                io.Float.Input("sigma", default=1.0, min=0.1, max=10.0, step=0.01),
                io.Float.Input("alpha", default=1.0, min=0.0, max=5.0, step=0.01),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, sharpen_radius: int, sigma: float, alpha: float) -> NodeOutput:
        if sharpen_radius == 0:
            return NodeOutput(image)
        kernel = gaussian(2 * sharpen_radius + 1, sigma, like=image) * -(alpha * 10)
        center = (sharpen_radius, sharpen_radius)
        kernel[center] = kernel[center] - kernel.sum() + 1.0
        return NodeOutput(convolve(image, kernel).clamp(0, 1))


Operation = Callable[[torch.Tensor, int], torch.Tensor]


class Morphology(Node):
    """Grow and shrink the bright regions of an image, with a square of "kernel_size" pixels."""

    OPERATIONS: dict[str, Operation] = {  # noqa: RUF012
        "erode": lambda planes, size: erode(planes, size),
        "dilate": lambda planes, size: dilate(planes, size),
        "open": lambda planes, size: dilate(erode(planes, size), size),
        "close": lambda planes, size: erode(dilate(planes, size), size),
        "gradient": lambda planes, size: dilate(planes, size) - erode(planes, size),
        "bottom_hat": lambda planes, size: erode(dilate(planes, size), size) - planes,
        "top_hat": lambda planes, size: planes - dilate(erode(planes, size), size),
    }

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="Morphology",
            display_name="ImageMorphology",
            category="image/postprocessing",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("operation", list(cls.OPERATIONS)),
                io.Int.Input("kernel_size", default=3, min=3, max=999, step=1),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, operation: str, kernel_size: int) -> NodeOutput:
        if operation not in cls.OPERATIONS:
            raise ValueError(f"unknown operation {operation!r}: choose one of {', '.join(cls.OPERATIONS)}")
        planes = cls.OPERATIONS[operation](image.movedim(-1, 1), kernel_size)
        return NodeOutput(planes.movedim(1, -1))


def gaussian(size: int, sigma: float, *, like: torch.Tensor) -> torch.Tensor:
    """``[size, size]`` with sum 1. ``sigma`` is in units of half the window, which always spans -1..1."""
    axis = torch.linspace(-1, 1, size, device=like.device)
    distance = torch.sqrt(axis[:, None] * axis[:, None] + axis[None, :] * axis[None, :])
    kernel = torch.exp(-(distance * distance) / (2.0 * sigma * sigma))
    return (kernel / kernel.sum()).to(like.dtype)


def convolve(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Convolve each channel of ``[B, H, W, C]`` with the same odd kernel; the image is mirrored at its borders.

    Raises :class:`ValueError` if the image is smaller than the kernel's radius, so that it cannot be mirrored."""
    radius, channels = kernel.shape[-1] // 2, image.shape[-1]
    if radius >= min(image.shape[1:3]):
        raise ValueError(f"a radius of {radius} needs an image of at least {radius + 1} x {radius + 1} pixels")
    planes = F.pad(image.movedim(-1, 1), (radius, radius, radius, radius), mode="reflect")
    kernels = kernel.expand(channels, 1, *kernel.shape)
    return F.conv2d(planes, kernels, groups=channels).movedim(1, -1)


def dilate(planes: torch.Tensor, size: int) -> torch.Tensor:
    """The maximum in a square around each pixel of ``[B, C, H, W]``; the border is not extended.

    The window of an even ``size`` reaches one pixel further to the right and down. The window of :func:`erode` is its
    mirror image, so that applying both does not shift the image."""
    return _brightest(planes, before=size - size // 2 - 1, after=size // 2)


def erode(planes: torch.Tensor, size: int) -> torch.Tensor:
    """The minimum in a square around each pixel."""
    return -_brightest(-planes, before=size // 2, after=size - size // 2 - 1)


def _brightest(planes: torch.Tensor, *, before: int, after: int) -> torch.Tensor:
    size = before + 1 + after
    padded = F.pad(planes, (before, after, before, after), value=float("-inf"))
    rows = F.max_pool2d(padded, (1, size), stride=1)
    return F.max_pool2d(rows, (size, 1), stride=1)
