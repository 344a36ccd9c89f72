"""Depth from single pictures, and how it is shown."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional

from safelight.core.errors import Invalid
from safelight.models.depth.depth_estimator import DepthEstimator, load_depth_estimator
from safelight.models.depth.dino_module import PATCH
from safelight.models.weights import Identity, identity_of
from safelight.nodes.image.resampling import resize
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current

FOLDER = "geometry_estimation"
SKY = 0.3
"""From here on, a pixel is sky."""
MOST_SAMPLES = 100_000
"""Pixels that quantiles are computed from."""

_Model, _Geometry = io.Custom("DA3_MODEL"), io.Custom("DA3_GEOMETRY")
_DTYPES = {"default": None, "fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
_METHODS = ("upper_bound_resize", "lower_bound_resize")

# Turbo as a polynomial of the fifth degree (Mikhailov, "Turbo, An Improved Rainbow Colormap", 2019).
_TURBO = (
    (0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943),
    (0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604),
    (0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973),
)


class UnknownGeometry(Invalid):
    """The model did not estimate what is to be shown, or cannot do it."""

    code = "unknown_geometry"


class LoadDA3Model(Node):
    """Load Depth Anything 3, which estimates depth from single pictures."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LoadDA3Model",
            display_name="Load Depth Anything 3",
            category="model/loaders",
            inputs=[
                io.Combo.Input("model_name", model_folder=FOLDER),
                io.Combo.Input("weight_dtype", tuple(_DTYPES), default="default"),
            ],
            outputs=[_Model.Output()],
        )

    @classmethod
    def fingerprint_inputs(cls, model_name: str, weight_dtype: str) -> tuple[Identity, str]:
        return identity_of(current().model_path(FOLDER, model_name)), weight_dtype

    @classmethod
    def execute(cls, model_name: str, weight_dtype: str) -> NodeOutput:
        path = current().model_path(FOLDER, model_name)
        return NodeOutput(load_depth_estimator(path, dtype=_DTYPES[weight_dtype]))


class DA3Inference(Node):
    """Estimate the depth of each picture. "resolution" is the size at which the model sees it."""

    @classmethod
    def define_schema(cls) -> Schema:
        several = [
            io.Combo.Input("ref_view_strategy", ("saddle_balanced", "saddle_sim_range", "first", "middle")),
            io.Combo.Input("pose_method", ("cam_dec", "ray_pose")),
        ]
        return Schema(
            node_id="DA3Inference",
            display_name="Run Depth Anything 3",
            category="image/geometry estimation",
            inputs=[
                _Model.Input("da3_model"),
                io.Image.Input("image"),
                io.Int.Input("resolution", default=504, min=140, max=2520, step=14),
                io.Combo.Input("resize_method", _METHODS, default=_METHODS[0]),
                io.DynamicCombo.Input("mode", [io.Option("mono"), io.Option("multiview", several)]),
            ],
            outputs=[_Geometry.Output("da3_geometry")],
        )

    @classmethod
    def execute(
        cls,
        da3_model: DepthEstimator,
        image: torch.Tensor,
        resolution: int,
        resize_method: str,
        mode: Mapping[str, Any],
    ) -> NodeOutput:
        if mode["mode"] != "mono":
            raise UnknownGeometry("mode 'multiview' needs a Small or Base model, and this is one for single pictures")
        run, made = current(), []
        height, width = image.shape[1:3]
        side = (max if resize_method == _METHODS[0] else min)(height, width)
        size = [_to_patches(length * resolution / side) for length in (height, width)]
        for number, one in enumerate(torch.split(image[..., :3], 1), start=1):
            seen = one if [height, width] == size else resize(one, size[1], size[0], method="lanczos")
            made.append(da3_model.estimate(seen.clamp(0, 1)))
            run.progress(number, len(image))
        geometry: dict[str, Any] = {"image": image[..., :3], "mode": "mono"}
        for name in made[0]:
            planes = torch.cat([one[name] for one in made])[:, None]
            geometry[name] = functional.interpolate(planes, size=(height, width), mode="bilinear")[:, 0]
        return NodeOutput(geometry)


class DA3Render(Node):
    """Show what was estimated: depth with what is near bright, also in colors; where the sky is; how sure the model
    is."""

    @classmethod
    def define_schema(cls) -> Schema:
        depth = [
            io.Combo.Input("normalization", ("v2_style", "min_max", "raw"), default="v2_style"),
            io.Boolean.Input("apply_sky_clip", default=False),
        ]
        colored = [io.Boolean.Input("colored", default=False)]
        return Schema(
            node_id="DA3Render",
            display_name="Render Depth Anything 3",
            category="image/geometry estimation",
            inputs=[
                _Geometry.Input("da3_geometry"),
                io.DynamicCombo.Input(
                    "output",
                    [
                        io.Option("depth", depth),
                        io.Option("depth_colored", depth),
                        io.Option("sky_mask", colored),
                        io.Option("confidence", colored),
                    ],
                ),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, da3_geometry: Mapping[str, Any], output: Mapping[str, Any]) -> NodeOutput:
        kind = output["output"]
        if not kind.startswith("depth"):
            planes = _estimated(da3_geometry, "sky" if kind == "sky_mask" else "confidence")
            if kind == "confidence":
                planes = torch.stack([_stretched(plane, plane.min(), plane.max()) for plane in planes])
            return NodeOutput(_shown(planes, colored=output["colored"]))
        depth = da3_geometry["depth"]
        if output["apply_sky_clip"]:
            skies = _estimated(da3_geometry, "sky")
            depth = torch.stack([_clipped(plane, sky) for plane, sky in zip(depth, skies, strict=True)])
        if output["normalization"] == "v2_style":
            skies = da3_geometry.get("sky", [None] * len(depth))
            depth = torch.stack([_by_quantiles(plane, sky) for plane, sky in zip(depth, skies, strict=True)])
        elif output["normalization"] == "min_max":
            depth = torch.stack([1 - _stretched(plane, plane.min(), plane.max()) for plane in depth])
        return NodeOutput(_shown(depth, colored=kind == "depth_colored"))


def _to_patches(length: float) -> int:
    """The nearest multiple of a patch, the larger of two."""
    below = round(length) // PATCH * PATCH
    return max(PATCH, below + PATCH if below + PATCH - round(length) <= round(length) - below else below)


def _estimated(geometry: Mapping[str, Any], name: str) -> torch.Tensor:
    if name not in geometry:
        raise UnknownGeometry(f"the model estimated no {name}; it estimated {', '.join(sorted(geometry))}")
    planes: torch.Tensor = geometry[name]
    return planes


def _stretched(plane: torch.Tensor, lowest: torch.Tensor, highest: torch.Tensor) -> torch.Tensor:
    return ((plane - lowest) / (highest - lowest).clamp_min(1e-6)).clamp(0, 1)


def _clipped(depth: torch.Tensor, sky: torch.Tensor) -> torch.Tensor:
    """The sky as far as the farthest of the rest, of which one in a hundred is left out."""
    is_sky = sky >= SKY
    if min(int(is_sky.sum()), int((~is_sky).sum())) <= 10:
        return depth
    return torch.where(is_sky, _quantile(depth[~is_sky], 0.99), depth)


def _by_quantiles(depth: torch.Tensor, sky: torch.Tensor | None) -> torch.Tensor:
    """From the nearest, 1, to the farthest, 0, of what is no sky; the sky is 0."""
    is_sky = torch.zeros_like(depth, dtype=torch.bool) if sky is None else sky >= SKY
    counted = depth[~is_sky] if (~is_sky).any() else depth.flatten()
    shown = 1 - _stretched(depth, _quantile(counted, 0.01), _quantile(counted, 0.99))
    return torch.where(is_sky, torch.zeros_like(shown), shown)


def _quantile(values: torch.Tensor, share: float) -> torch.Tensor:
    return torch.quantile(values[:: -(-len(values) // MOST_SAMPLES)], share)


def _shown(planes: torch.Tensor, *, colored: bool) -> torch.Tensor:
    if not colored:
        return planes[..., None].expand(*planes.shape, 3).contiguous()
    powers = torch.stack([planes.clamp(0, 1) ** power for power in range(6)], dim=-1)
    return torch.einsum("bhwp,cp->bhwc", powers, torch.tensor(_TURBO)).clamp(0, 1)
