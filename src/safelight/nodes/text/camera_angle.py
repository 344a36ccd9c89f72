"""A point of view in words, for prompts."""

import math
from typing import Any

import torch

from safelight.sdk import Node, NodeOutput, Schema, io

DISTANCE = 6.0
FIELD_OF_VIEW = 35
CLOSEST = 1.875
"""The factor of zoom 10; zoom 0 is 1."""

_SECTOR = 45
_DIRECTIONS = (
    "front view",
    "front-right quarter view",
    "right side view",
    "back-right quarter view",
    "back view",
    "back-left quarter view",
    "left side view",
    "front-left quarter view",
)
_ELEVATIONS = ((-15, "low-angle shot"), (15, "eye-level shot"), (45, "elevated shot"), (math.inf, "high-angle shot"))
_SHOTS = ((2.0, "wide shot"), (6.0, "medium shot"), (math.inf, "close-up"))
"""With the lowest number that is no longer called so."""


class CameraAngle(Node):
    """Choose an angle around a subject: as words for a prompt, and as a camera for 3-D nodes."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CameraAngle",
            display_name="Compose Camera Angle Prompt",
            category="camera",
            inputs=[
                io.Int.Input("horizontal_angle", default=0, min=0, max=360, tooltip="0 is the front, 90 the right."),
                io.Int.Input("vertical_angle", default=0, min=-30, max=60, tooltip="Negative looks up from below."),
                io.Float.Input("zoom", default=5.0, min=0.0, max=10.0, step=0.1, tooltip="10 is a close-up."),
                io.Image.Input("image", optional=True),
            ],
            outputs=[
                io.Custom("LOAD3D_CAMERA").Output(display_name="camera_info"),
                io.String.Output(display_name="prompt"),
            ],
        )

    @classmethod
    def execute(
        cls, horizontal_angle: int, vertical_angle: int, zoom: float, image: torch.Tensor | None = None
    ) -> NodeOutput:
        direction = _DIRECTIONS[int((horizontal_angle % 360 + _SECTOR / 2) // _SECTOR) % len(_DIRECTIONS)]
        words = (direction, _named(vertical_angle, _ELEVATIONS), _named(zoom, _SHOTS))
        return NodeOutput(_camera(horizontal_angle, vertical_angle, zoom), " ".join(words))


def _named(value: float, names: tuple[tuple[float, str], ...]) -> str:
    return next(name for end, name in names if value < end)


def _camera(horizontal: float, vertical: float, zoom: float) -> dict[str, Any]:
    """A camera on a sphere around the origin; y is up, and z points from the subject's front to the camera."""
    around, above = math.radians(horizontal), math.radians(vertical)
    return {
        "position": {
            "x": DISTANCE * math.cos(above) * math.sin(around),
            "y": DISTANCE * math.sin(above),
            "z": DISTANCE * math.cos(above) * math.cos(around),
        },
        "target": {"x": 0.0, "y": 0.0, "z": 0.0},
        "zoom": 1.0 + (CLOSEST - 1.0) * zoom / 10,
        "cameraType": "perspective",
        "fov": FIELD_OF_VIEW,
    }
