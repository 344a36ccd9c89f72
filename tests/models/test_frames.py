"""FILM: its shape in files, the flow's scales, and frames between frames."""

from pathlib import Path

import pytest
import torch

from safelight.models.frames.film_module import Film, FilmShape, _moved, _summed, film_shape
from safelight.models.frames.interpolator import FramesTooSmall, load_frame_interpolator
from safelight.models.frames.miniature_files import SHAPE
from safelight.models.miniatures.writing import write_miniature

PUBLISHED = FilmShape(filters=64, depth=4, flows=((3, 32), (3, 64), (3, 128), (3, 256)))


@pytest.mark.parametrize("shape", [SHAPE, PUBLISHED])
def test_the_shape_is_read_off_the_weights(shape: FilmShape) -> None:
    with torch.device("meta"):
        module = Film(shape)
    assert film_shape({name: value.shape for name, value in module.state_dict().items()}) == shape


def test_a_flow_points_to_where_a_pixel_comes_from() -> None:
    planes = torch.rand(1, 2, 6, 8)
    flow = torch.zeros(1, 2, 6, 8)
    flow[:, 0] = 2.0
    flow[:, 1] = -1.0
    moved = _moved(planes, flow)
    torch.testing.assert_close(moved[..., 1:, :-2], planes[..., :-1, 2:])
    torch.testing.assert_close(moved[..., 0, :-2], planes[..., 0, 2:])  # continued at the border


def test_changes_of_a_flow_add_up_in_the_pixels_of_their_scale() -> None:
    changes = [torch.full((1, 2, 8 >> level, 8 >> level), 1.0) for level in range(3)]
    assert [float(flow.mean()) for flow in _summed(changes)] == [7.0, 3.0, 1.0]


def test_frames_between_frames_are_at_equal_times(tmp_path: Path) -> None:
    (path,) = write_miniature("film", tmp_path)
    network = load_frame_interpolator(path)
    first, second = torch.rand(64, 80, 3), torch.rand(64, 80, 3)
    three = network.between(first, second, 3)
    assert three.shape == (3, 64, 80, 3)
    torch.testing.assert_close(network.between(first, second, 1)[0], three[1])
    assert not torch.equal(three[0], three[2])


def test_small_frames_are_refused_with_their_size(tmp_path: Path) -> None:
    (path,) = write_miniature("film", tmp_path)
    small = torch.rand(40, 80, 3)
    with pytest.raises(FramesTooSmall, match="80 x 40"):
        load_frame_interpolator(path).between(small, small, 1)
