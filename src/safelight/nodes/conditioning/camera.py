"""The path of a virtual camera, for video models with camera control: the viewing ray of each pixel in each frame, as
Plücker coordinates (He and others, "CameraCtrl", 2024)."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from safelight.sdk import Node, NodeOutput, Schema, io

POSE_ASPECT = 1280 / 720
"""Aspect ratio of the images that the focal lengths refer to."""

DISTANCE = 1.5
"""Distance that a camera of speed 1 travels."""

ANGLE = math.pi / 3
"""Angle that a camera of speed 1 rotates."""

FRAMES_PER_LATENT = 4


@dataclass(frozen=True)
class Motion:
    """Direction of the camera's movement (x to the right, y down, z forward) and of its roll."""

    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    roll: float = 0.0


MOTIONS = {
    "Static": Motion(),
    "Pan Up": Motion(shift=(0.0, -1.0, 0.0)),
    "Pan Down": Motion(shift=(0.0, 1.0, 0.0)),
    "Pan Left": Motion(shift=(-1.0, 0.0, 0.0)),
    "Pan Right": Motion(shift=(1.0, 0.0, 0.0)),
    "Zoom In": Motion(shift=(0.0, 0.0, 2.0)),
    "Zoom Out": Motion(shift=(0.0, 0.0, -2.0)),
    "Anti Clockwise (ACW)": Motion(roll=-1.0),
    "ClockWise (CW)": Motion(roll=1.0),
}


class WanCameraEmbedding(Node):
    """Create a camera movement for Wan models with camera control. The focal lengths (fx, fy) and the center (cx, cy)
    are fractions of the image size."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="WanCameraEmbedding",
            category="camera",
            inputs=[
                io.Combo.Input(
                    "camera_pose",
                    [
                        "Static",
                        "Pan Up",
                        "Pan Down",
                        "Pan Left",
                        "Pan Right",
                        "Zoom In",
                        "Zoom Out",
                        "Anti Clockwise (ACW)",
                        "ClockWise (CW)",
                    ],
                    default="Static",
                ),
                io.Int.Input("width", default=832, min=16, max=16384, step=16),
                io.Int.Input("height", default=480, min=16, max=16384, step=16),
                io.Int.Input("length", default=81, min=1, max=16384, step=4),
                io.Float.Input("speed", optional=True, default=1.0, min=0, max=10.0, step=0.1),
                io.Float.Input("fx", optional=True, default=0.5, min=0, max=1, step=1e-09),
                io.Float.Input("fy", optional=True, default=0.5, min=0, max=1, step=1e-09),
                io.Float.Input("cx", optional=True, default=0.5, min=0, max=1, step=0.01),
                io.Float.Input("cy", optional=True, default=0.5, min=0, max=1, step=0.01),
            ],
            outputs=[
                io.WanCameraEmbedding.Output(display_name="camera_embedding"),
                io.Int.Output(display_name="width"),
                io.Int.Output(display_name="height"),
                io.Int.Output(display_name="length"),
            ],
        )

    @classmethod
    def execute(
        cls,
        camera_pose: str,
        width: int,
        height: int,
        length: int,
        speed: float = 1.0,
        fx: float = 0.5,
        fy: float = 0.5,
        cx: float = 0.5,
        cy: float = 0.5,
    ) -> NodeOutput:
        if width / height < POSE_ASPECT:
            fx = height * POSE_ASPECT * fx / width
        else:
            fy = width / POSE_ASPECT * fy / height
        intrinsics = (fx * width, fy * height, cx * width, cy * height)
        rays = plucker_rays(camera_path(MOTIONS[camera_pose], speed, length), intrinsics, width, height)
        return NodeOutput(_in_latent_frames(rays), width, height, length)


def camera_path(motion: Motion, speed: float, length: int) -> torch.Tensor:
    """``[length, 3, 4]``: the camera's axes and position in each frame."""
    poses = []
    for frame in range(length):
        part = frame / length * speed
        angle = part * ANGLE * motion.roll
        sine, cosine = math.sin(angle), math.cos(angle)
        axes = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        position = part * DISTANCE * np.array(motion.shift)
        poses.append(np.concatenate([axes, position[:, None]], axis=1))
    return torch.from_numpy(np.stack(poses).astype(np.float32))


def plucker_rays(
    poses: torch.Tensor, intrinsics: tuple[float, float, float, float], width: int, height: int
) -> torch.Tensor:
    """``[frames, 6, height, width]``: each pixel's ray as its moment ``position x direction`` and its direction.

    ``intrinsics`` are the focal lengths and the center, in pixels."""
    fx, fy, cx, cy = torch.tensor(intrinsics)
    y, x = torch.meshgrid(torch.linspace(0, height - 1, height), torch.linspace(0, width - 1, width), indexing="ij")
    directions = torch.stack([(x + 0.5 - cx) / fx, (y + 0.5 - cy) / fy, torch.ones_like(x)], dim=-1)
    directions = (directions / directions.norm(dim=-1, keepdim=True)).reshape(1, height * width, 3)
    # term by term, because the rounding of a matrix product depends on the processor's library
    directions = sum(directions[..., k : k + 1] * poses[:, None, :, k] for k in range(3))
    positions = poses[:, None, :, 3].expand_as(directions)
    rays = torch.cat([torch.linalg.cross(positions, directions), directions], dim=-1)
    return rays.transpose(1, 2).reshape(len(poses), 6, height, width)


def _in_latent_frames(rays: torch.Tensor) -> torch.Tensor:
    """``[1, 6 * 4, latent frames, H, W]``: the rays of four frames stacked as channels; the first frame is repeated
    four times."""
    repeated = torch.cat([rays[:1].repeat_interleave(FRAMES_PER_LATENT, dim=0), rays[1:]])
    frames, _, height, width = repeated.shape
    grouped = repeated.reshape(frames // FRAMES_PER_LATENT, FRAMES_PER_LATENT, 6, height, width)
    return grouped.transpose(1, 2).reshape(-1, 6 * FRAMES_PER_LATENT, height, width).transpose(0, 1)[None]
