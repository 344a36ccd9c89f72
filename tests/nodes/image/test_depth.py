"""Depth estimates as pictures."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.nodes.context import FolderContext

from safelight.models.miniatures.writing import write_miniature
from safelight.nodes.image.depth import DA3Inference, DA3Render, LoadDA3Model, UnknownGeometry

DEPTH = torch.linspace(1.0, 2.0, 101).expand(1, 101, 101).clone()
SKY = torch.zeros(1, 101, 101)
SKY[:, :10] = 1.0


def rendered(geometry: dict[str, Any], **output: Any) -> torch.Tensor:
    made = DA3Render.execute(geometry, output).args[0]
    assert isinstance(made, torch.Tensor)
    return made


def test_what_is_near_is_bright() -> None:
    shown = rendered({"depth": DEPTH}, output="depth", normalization="min_max", apply_sky_clip=False)
    assert shown.shape == (1, 101, 101, 3)
    torch.testing.assert_close(shown[0, 0, :, 0], torch.linspace(1.0, 0.0, 101))


def test_quantiles_leave_out_the_sky_which_is_black() -> None:
    given = {"depth": DEPTH, "sky": SKY}
    shown = rendered(given, output="depth", normalization="v2_style", apply_sky_clip=False)
    assert (shown[:, :10] == 0).all()
    torch.testing.assert_close(shown[0, 50, [0, 50, 100], 0], torch.tensor([1.0, 0.5, 0.0]))


def test_a_clipped_sky_is_as_far_as_the_farthest() -> None:
    near_sky = torch.where(SKY > 0.5, torch.zeros_like(DEPTH), DEPTH)
    given = {"depth": near_sky, "sky": SKY}
    shown = rendered(given, output="depth", normalization="raw", apply_sky_clip=True)
    torch.testing.assert_close(shown[0, :10, :, 0], torch.full((10, 101), 1.99))


def test_colors_go_from_blue_to_red() -> None:
    shown = rendered({"depth": DEPTH}, output="depth_colored", normalization="min_max", apply_sky_clip=False)
    near, far = shown[0, 0, 5], shown[0, 0, -5]
    assert near[0] > near[2]
    assert far[2] > far[0]


def test_what_was_not_estimated_is_named() -> None:
    with pytest.raises(UnknownGeometry, match="no confidence; it estimated depth"):
        rendered({"depth": DEPTH}, output="confidence", colored=False)


def test_pictures_keep_their_size(tmp_path: Path) -> None:
    list(write_miniature("depth-anything-3", tmp_path / "models"))
    with FolderContext(tmp_path).running():
        model: Any = LoadDA3Model.execute("depth_anything_3_mono_large.safetensors", "default").args[0]
        image = torch.rand(2, 50, 75, 3)
        geometry: Any = DA3Inference.execute(model, image, 140, "upper_bound_resize", {"mode": "mono"}).args[0]
        assert geometry["depth"].shape == (2, 50, 75)
        with pytest.raises(UnknownGeometry, match="multiview"):
            DA3Inference.execute(model, image, 140, "upper_bound_resize", {"mode": "multiview"})
