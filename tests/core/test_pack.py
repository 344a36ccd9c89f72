"""Failures of node packs as users read them."""

import pytest

from safelight.core.pack import reason_for_users


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("ModuleNotFoundError: No module named 'cv2'", "the library 'cv2' is not installed"),
        (
            "NotSupported: comfy.samplers.KSampler needs ComfyUI's samplers; runs on a ComfyUI engine",
            "comfy.samplers.KSampler needs ComfyUI's samplers; runs on a ComfyUI engine",
        ),
        ("OSError: cannot read /srv/secret/ComfyUI", "an error, which administrators see"),
    ],
)
def test_reasons_have_no_details_of_the_machine(reason: str, shown: str) -> None:
    assert reason_for_users(reason) == shown
