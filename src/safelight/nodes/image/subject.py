"""The node that crops to what a mask shows, and centers it on a background color."""

import torch

from safelight.nodes.image.color import Color, parse_color
from safelight.nodes.image.resampling import repeat_to, resize, resize_mask
from safelight.nodes.mask.shape import grow_or_shrink
from safelight.sdk import Node, NodeOutput, Schema, io


class ImageCropToMask(Node):
    """Crop images to what their masks show, center it on a background color, and scale to a size. A mask that is white
    along the border and black in the middle is inverted first."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageCropToMask",
            display_name="Crop Image to Mask",
            category="image/transform",
            search_aliases=["crop subject", "center subject", "remove background"],
            inputs=[
                io.Image.Input("images"),
                io.Mask.Input("masks"),
                io.Int.Input("width", default=1024, min=64, max=4096, step=8),
                io.Int.Input("height", default=1024, min=64, max=4096, step=8),
                io.Float.Input("pad_factor", default=1.0, min=1.0, max=2.0, step=0.01),
                io.Int.Input("grow_mask", default=0, min=-32, max=32, step=1),
                Color.Input("background", default="#000000"),
            ],
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        masks: torch.Tensor,
        width: int,
        height: int,
        pad_factor: float,
        grow_mask: int,
        background: str,
    ) -> NodeOutput:
        if len(masks) not in (1, len(images)):
            raise ValueError(
                f"got {len(masks)} masks for {len(images)} images; connect one mask, or one for each image"
            )
        masks = resize_mask(masks.to(images), images.shape[2], images.shape[1], method="bilinear")
        masks = repeat_to(torch.stack([_upright(mask) for mask in masks]), len(images))
        masks = grow_or_shrink(masks, grow_mask, tapered_corners=False)
        color = images.new_tensor(parse_color(background)[:3]) / 255
        cut = [
            _centered(image, mask, color, aspect=width / height, pad_factor=pad_factor)
            for image, mask in zip(images[..., :3], masks, strict=True)
        ]
        return NodeOutput(torch.cat([resize(one, width, height, method="lanczos") for one in cut]))


def _upright(mask: torch.Tensor) -> torch.Tensor:
    """The mask, inverted if it is white along the border and black in the middle, or empty."""
    border = torch.cat([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    height, width = mask.shape
    middle = mask[height // 4 : height - height // 4, width // 4 : width - width // 4]
    inverted = bool(border.mean() > 0.5) and bool(middle.mean() < 0.5)
    return 1.0 - mask if inverted or not (mask > 0.5).any() else mask


def _centered(
    image: torch.Tensor, mask: torch.Tensor, color: torch.Tensor, *, aspect: float, pad_factor: float
) -> torch.Tensor:
    """``[1, h, w, 3]`` in the requested aspect ratio, centered on the middle of the mask's bounds."""
    left, top, right, bottom = _bounds(mask)
    width, height = (right - left) * pad_factor, (bottom - top) * pad_factor
    width, height = max(width, height * aspect), max(height, width / aspect)
    columns, rows = max(1, round(width)), max(1, round(height))
    x, y = round((left + right - columns) / 2), round((top + bottom - rows) / 2)
    canvas = color.expand(1, rows, columns, 3).clone()
    over = image * mask.unsqueeze(-1) + color * (1.0 - mask.unsqueeze(-1))
    inside = over[max(0, y) : max(0, y + rows), max(0, x) : max(0, x + columns)]
    canvas[0, max(0, -y) : max(0, -y) + inside.shape[0], max(0, -x) : max(0, -x) + inside.shape[1]] = inside
    return canvas


def _bounds(mask: torch.Tensor) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (the last two exclusive) of the mask above one half; the whole mask if it is
    empty."""
    rows, columns = ((mask > 0.5).any(dim=dimension).nonzero() for dimension in (1, 0))
    if not len(rows):
        return 0, 0, mask.shape[1], mask.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
