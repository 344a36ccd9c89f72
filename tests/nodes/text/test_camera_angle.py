"""The words of a point of view at the borders of their ranges, and the camera on its sphere."""

import math

import pytest

from safelight.nodes.text.camera_angle import CameraAngle


@pytest.mark.parametrize(
    ("horizontal", "vertical", "zoom", "words"),
    [
        (0, 0, 5.0, "front view eye-level shot medium shot"),
        (360, -15, 0.0, "front view eye-level shot wide shot"),
        (90, -16, 6.0, "right side view low-angle shot close-up"),
        (333, 17, 5.0, "front-left quarter view elevated shot medium shot"),
        (180, 45, 1.9, "back view high-angle shot wide shot"),
        (23, 15, 2.0, "front-right quarter view elevated shot medium shot"),
    ],
)
def test_words_of_a_point_of_view(horizontal: int, vertical: int, zoom: float, words: str) -> None:
    assert CameraAngle.execute(horizontal, vertical, zoom).args[1] == words


def test_the_camera_looks_at_the_subject_from_a_fixed_distance() -> None:
    camera = CameraAngle.execute(90, 30, 10.0).args[0]
    place = camera["position"]
    assert math.isclose(math.hypot(place["x"], place["y"], place["z"]), 6.0)
    assert place["x"] > 5
    assert math.isclose(place["y"], 3.0)
    assert camera["zoom"] == 1.875
