"""The runs of HunyuanVideo 1.5, like those of ``family_cases.py``."""

from typing import Any

_POOLED = {"pooled_output": [1, 768]}
"""ComfyUI asks for it, but the network does not use it."""
_COMMON: dict[str, Any] = {
    "family": "hunyuan video 1.5",
    "supported": "HunyuanVideo15",
    "config": {},
    "latent": [1, 32, 3, 5, 4],
    "context": [7, 96],
}

CASES: dict[str, dict[str, Any]] = {
    "hunyuan video text": {**_COMMON, "latent": [2, 32, 3, 5, 4], "options": _POOLED, "negative": True, "cfg": 2.5},
    "hunyuan video glyphs": {**_COMMON, "options": {**_POOLED, "conditioning_byt5small": [1, 5, 1472]}},
    "hunyuan video picture": {
        **_COMMON,
        "options": {
            **_POOLED,
            "concat_latent_image": [1, 32, 3, 5, 4],
            "concat_mask": [1, 1, 3, 5, 4],
            "clip_vision_output": [1, 9, 1152],
            "conditioning_byt5small": [1, 5, 1472],
        },
        "negative": True,
        "cfg": 2.0,
    },
    "hunyuan video distilled guidance": {
        **_COMMON,
        "family": "hunyuan video 1.5 with guidance",
        "options": _POOLED,
        "guidance": 4.0,
    },
}
