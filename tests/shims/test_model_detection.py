"""``comfy.model_detection``: what a pack learns of a file from its header alone (as comfyui-tooling-nodes does)."""

from typing import Any, NamedTuple

import pytest
from tests.models.unets import REFINER, SD1, SD2, SDXL, shapes_of, unet_of

import safelight.shims.modules.comfy.model_detection as model_detection
from safelight.models.unet.shape import UNetShape

PREFIX = "model.diffusion_model."


class Header(NamedTuple):
    shape: tuple[int, ...]


def header(shape: UNetShape, prefix: str = PREFIX) -> dict[str, Any]:
    return {f"{prefix}{name}": Header(tuple(size)) for name, size in shapes_of(shape).items()}


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (SD1, "SD15"),
        (unet_of(in_channels=9), "SD15"),
        (unet_of(in_channels=8), "SD15_instructpix2pix"),
        (SD2, "SD20"),
        (unet_of(context=1024, vector=1536, is_linear=True), "SD21UnclipL"),
        (SDXL, "SDXL"),
        (
            unet_of(multipliers=(1, 2, 4), depths=(0, 2, 4), middle=4, context=2048, vector=2816, is_linear=True),
            "SSD1B",
        ),
        (REFINER, "SDXLRefiner"),
    ],
)
@pytest.mark.parametrize("is_alone", [False, True])
def test_a_checkpoint_is_recognized_by_its_header(shape: UNetShape, name: str, is_alone: bool) -> None:
    state = header(shape)
    prefix = model_detection.unet_prefix_from_state_dict(state)
    assert prefix == PREFIX
    if is_alone:  # a file of the diffusion network alone
        state, prefix = {key.removeprefix(prefix): value for key, value in state.items()}, ""
    config = model_detection.detect_unet_config(state, prefix)
    assert config is not None
    found = model_detection.model_config_from_unet_config(config)
    assert type(found).__name__ == name
    assert found is not None
    assert found.model_type(state).name == "EPS"
    assert found.inpaint_model() == (shape.in_channels > 4)


def test_marker_keys_of_xl_files_decide_the_prediction_type() -> None:
    config = model_detection.detect_unet_config(header(SDXL), PREFIX)
    assert config is not None
    found = model_detection.model_config_from_unet_config(config)
    assert found is not None
    assert config["transformer_depth"] == [0, 0, 2, 2, 10, 10]
    assert found.model_type({"v_pred": None}).name == "V_PREDICTION"
    assert found.model_type({"edm_mean": None, "edm_std": None}).name == "EDM"


def test_other_networks_are_not_recognized() -> None:
    flux = {"double_blocks.0.img_attn.norm.key_norm.scale": Header((128,)), "__metadata__": {"a": "b"}}
    assert model_detection.detect_unet_config(flux, "") is None
    assert model_detection.unet_prefix_from_state_dict(flux) == "model."
    odd = model_detection.detect_unet_config(header(unet_of(context=512)), PREFIX)
    assert odd is not None
    assert model_detection.model_config_from_unet_config(odd) is None
