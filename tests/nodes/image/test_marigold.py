"""Marigold's predictions as pictures."""

import torch

from safelight.nodes.image.marigold import MarigoldV2PostProcess


def shown(image: torch.Tensor, prediction: str) -> torch.Tensor:
    made = MarigoldV2PostProcess.execute(image, prediction).args[0]
    assert isinstance(made, torch.Tensor)
    return made


def test_the_nearest_is_white_and_the_farthest_black() -> None:
    depth = torch.tensor([0.2, 0.4, 0.6]).reshape(1, 1, 3, 1).expand(-1, -1, -1, 3)
    torch.testing.assert_close(shown(depth, "depth")[0, 0, :, 0], torch.tensor([1.0, 0.5, 0.0]))


def test_normals_have_unit_length() -> None:
    normals = shown(torch.rand(1, 4, 4, 3), "normals") * 2 - 1
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(1, 4, 4))


def test_albedo_is_in_srgb() -> None:
    made = shown(torch.tensor([0.0, 0.001, 0.5, 1.0]).reshape(1, 1, 4, 1).expand(-1, -1, -1, 3), "albedo")
    torch.testing.assert_close(made[0, 0, :, 0], torch.tensor([0.0, 0.01292, 0.7353570, 1.0]))
