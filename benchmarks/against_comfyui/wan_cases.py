"""The runs of Wan, like those of ``family_cases.py``."""

from typing import Any

_CONFIG = {"text_dim": 96}


def _case(family: str, supported: str, options: dict[str, Any], **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "family": family,
        "supported": supported,
        "config": _CONFIG,
        "latent": [1, 16, 3, 6, 7],
        "context": [9, 96],
        "options": options,
    }
    return made | more


CASES: dict[str, dict[str, Any]] = {
    "wan text to video": _case("wan t2v", "WAN21_T2V", {}, latent=[2, 16, 3, 6, 7], negative=True, cfg=2.5),
    "wan phantom": _case("wan t2v", "WAN21_T2V", {"time_dim_concat": [1, 16, 2, 6, 7]}),
    "wan picture to video": _case(
        "wan i2v",
        "WAN21_I2V",
        {
            "concat_latent_image": [1, 16, 3, 6, 7],
            "concat_mask": [1, 1, 3, 6, 7],
            "clip_vision_output": [1, 257, 1280],
        },
        negative=True,
        cfg=2.0,
    ),
    "wan picture to video without a picture": _case("wan i2v", "WAN21_I2V", {}),
    "wan first and last frame": _case(
        "wan flf2v",
        "WAN21_I2V",
        {
            "concat_latent_image": [1, 16, 3, 6, 7],
            "concat_mask": [1, 4, 3, 6, 7],
            "clip_vision_output": [1, 514, 1280],
        },
    ),
    "wan 2.2 picture to video": _case(
        "wan22 i2v",
        "WAN21_T2V",
        {"concat_latent_image": [1, 16, 3, 6, 7], "concat_mask": [1, 1, 2, 6, 7]},
        latent=[2, 16, 3, 6, 7],
    ),
    "wan fun control": _case(
        "wan fun control",
        "WAN21_FunControl2V",
        {"concat_latent_image": [1, 32, 3, 6, 7], "clip_vision_output": [1, 257, 1280]},
    ),
    "wan 2.2 fun control with a reference": _case(
        "wan22 fun control",
        "WAN21_T2V",
        {
            "concat_latent_image": [1, 32, 3, 6, 8],
            "concat_mask": [1, 4, 3, 6, 8],
            "reference_latents": [[1, 16, 1, 6, 8]],
        },
        latent=[1, 16, 3, 6, 8],
        values={"concat_mask_index": 16},
    ),
    "wan vace, two control videos": _case(
        "wan vace",
        "WAN21_Vace",
        {
            "vace_frames": [[1, 32, 3, 6, 8], [1, 32, 3, 6, 8]],
            "vace_mask": [[1, 64, 3, 6, 8], [1, 64, 3, 6, 8]],
        },
        latent=[1, 16, 3, 6, 8],
        values={"vace_strength": [0.9, 0.4]},
        negative=True,
        cfg=2.0,
    ),
    "wan camera": _case(
        "wan camera",
        "WAN21_Camera",
        {
            "concat_latent_image": [1, 16, 2, 4, 6],
            "clip_vision_output": [1, 257, 1280],
            "camera_conditions": [1, 24, 2, 32, 48],
        },
        latent=[1, 16, 2, 4, 6],
    ),
    "wan 2.2 camera": _case(
        "wan22 camera",
        "WAN22_Camera",
        {
            "concat_latent_image": [1, 16, 2, 4, 6],
            "concat_mask": [1, 4, 2, 4, 6],
            "camera_conditions": [1, 24, 2, 32, 48],
        },
        latent=[1, 16, 2, 4, 6],
    ),
    "wan 2.2 5b": _case("wan22 5b", "WAN22_T2V", {}, latent=[1, 48, 3, 6, 7], negative=True, cfg=3.0),
    "wan 2.2 5b from a picture": _case("wan22 5b", "WAN22_T2V", {}, latent=[1, 48, 3, 6, 7], given_frames=1),
}
"""``values``: options as they are. ``given_frames``: of the latent, which are not to be painted."""
