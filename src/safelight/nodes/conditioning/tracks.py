"""Paths of points through a video, for models that move what is under them."""

import torch

from safelight.sdk import Node, NodeOutput, Schema, io

Point = tuple[float, float]


class GenerateTracks(Node):
    """Generate parallel motion paths from a start to an end point, straight or along a Bézier curve, spread to both
    sides. Positions are fractions of the width and height; the mask says in which frames the points are visible."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="GenerateTracks",
            category="conditioning/video_models",
            inputs=[
                io.Int.Input("width", default=832, min=16, max=4096, step=16),
                io.Int.Input("height", default=480, min=16, max=4096, step=16),
                io.Float.Input("start_x", default=0.0, min=0.0, max=1.0, step=0.01),
                io.Float.Input("start_y", default=0.0, min=0.0, max=1.0, step=0.01),
                io.Float.Input("end_x", default=1.0, min=0.0, max=1.0, step=0.01),
                io.Float.Input("end_y", default=1.0, min=0.0, max=1.0, step=0.01),
                io.Int.Input("num_frames", default=81, min=1, max=1024),
                io.Int.Input("num_tracks", default=5, min=1, max=100),
                io.Float.Input("track_spread", default=0.025, min=0.0, max=1.0, step=0.001),
                io.Boolean.Input("bezier", default=False),
                io.Float.Input("mid_x", default=0.5, min=0.0, max=1.0, step=0.01),
                io.Float.Input("mid_y", default=0.5, min=0.0, max=1.0, step=0.01),
                io.Combo.Input("interpolation", ["linear", "ease_in", "ease_out", "ease_in_out", "constant"]),
                io.Mask.Input("track_mask", optional=True),
            ],
            outputs=[io.Tracks.Output(), io.Int.Output(display_name="track_length")],
        )

    @classmethod
    def execute(
        cls,
        width: int,
        height: int,
        start_x: float,
        start_y: float,
        end_x: float,
        end_y: float,
        num_frames: int,
        num_tracks: int,
        track_spread: float,
        bezier: bool,
        mid_x: float,
        mid_y: float,
        interpolation: str,
        track_mask: torch.Tensor | None = None,
    ) -> NodeOutput:
        start, end = (start_x * width, start_y * height), (end_x * width, end_y * height)
        middle = (mid_x * width, mid_y * height) if bezier else None
        spread = track_spread * (width + height) / 2
        sides = [(track - (num_tracks - 1) / 2) * spread for track in range(num_tracks)]
        paths = torch.stack([track(start, middle, end, side, num_frames, interpolation) for side in sides], dim=1)
        visible = torch.ones(num_frames, num_tracks, dtype=torch.bool)
        if track_mask is not None:  # one column, for all tracks
            visible = (track_mask > 0).any(dim=(1, 2))[:, None]
        return NodeOutput({"track_path": paths, "track_visibility": visible}, num_frames)


def track(start: Point, middle: Point | None, end: Point, side: float, frames: int, interpolation: str) -> torch.Tensor:
    """``[frames, 2]``: the path in pixels, shifted ``side`` pixels to its right (as seen with y pointing down)."""
    u = eased(torch.linspace(0, 1, frames), interpolation)
    if middle is None:
        points = torch.stack([a + (b - a) * u for a, b in zip(start, end, strict=True)], dim=1)
        direction = [b - a for a, b in zip(start, end, strict=True)]
        tangents = torch.tensor(direction, dtype=torch.float64).expand(frames, 2)
    else:
        axes = list(zip(start, middle, end, strict=True))
        points = torch.stack([(1 - u) ** 2 * a + 2 * (1 - u) * u * m + u**2 * b for a, m, b in axes], dim=1)
        exact = u.double()
        tangents = torch.stack([2 * (1 - exact) * (m - a) + 2 * exact * (b - m) for a, m, b in axes], dim=1)
    length: torch.Tensor = tangents.norm(dim=1, keepdim=True)
    length[length == 0] = 1.0
    across = torch.stack([-tangents[:, 1], tangents[:, 0]], dim=1) / length
    moved: torch.Tensor = points.double() + across * side
    return moved.float()


def eased(t: torch.Tensor, interpolation: str) -> torch.Tensor:
    """The fraction of the path that is covered at the fraction ``t`` of the time, both 0..1."""
    match interpolation:
        case "linear":
            return t
        case "ease_in":
            return t * t
        case "ease_out":
            return 1 - (1 - t) * (1 - t)
        case "ease_in_out":
            return t * t * (3 - 2 * t)
        case "constant":
            return torch.zeros_like(t)
    raise ValueError(f"unknown interpolation {interpolation!r}")
