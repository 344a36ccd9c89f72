"""The runs of ``families.py`` for LTX-Video and LTX-2, which both sides read; see ``family_cases.py``."""

from typing import Any

_NEWER = {
    "causal_temporal_positioning": True,
    "use_middle_indices_grid": True,
    "rope_type": "split",
    "frequencies_precision": "float64",
    "av_ca_timestep_scale_multiplier": 1000.0,
}

METADATA: dict[str, dict[str, Any]] = {
    "ltx-video": {},
    "ltx-video 0.9.5": {"causal_temporal_positioning": True},
    "ltx-2": _NEWER,
}
"""By family: the network's settings in the metadata of its file."""

_VIDEO = {"supported": "LTXV", "config": {"caption_channels": 96}, "context": [9, 96]}
_SOUND = {
    "supported": "LTXAV",
    "config": {
        "caption_channels": 48,
        "audio_attention_head_dim": 4,
        "audio_cross_attention_dim": 128,
    },
    "context": [9, 96],
    "options": {},
}

LTX_CASES: dict[str, dict[str, Any]] = {
    "ltx-video": {
        **_VIDEO,
        "family": "ltx-video",
        "latent": [2, 128, 3, 4, 5],
        "options": {"attention_mask": [1, 9]},
        "negative": True,
        "cfg": 3.0,
    },
    "ltx-video, first frame given": {
        **_VIDEO,
        "family": "ltx-video 0.9.5",
        "latent": [1, 128, 3, 4, 5],
        "options": {"attention_mask": [1, 9]},
        "frame_rate": 24.0,
        "given_frames": 1,
    },
    "ltx-video, guide": {
        **_VIDEO,
        "family": "ltx-video 0.9.5",
        "latent": [1, 128, 4, 4, 5],
        "options": {"attention_mask": [1, 9], "keyframe_idxs": [1, 3, 20, 2]},
        "given_frames": 1,
    },
    "ltx-2": {
        **_SOUND,
        "family": "ltx-2",
        "latent": [[2, 128, 3, 4, 5], [2, 8, 7, 16]],
        "negative": True,
        "cfg": 3.0,
        "frame_rate": 24.0,
    },
    "ltx-2, first frame given": {
        **_SOUND,
        "family": "ltx-2",
        "latent": [[1, 128, 3, 4, 5], [1, 8, 7, 16]],
        "given_frames": 1,
    },
    "stable audio": {
        "family": "stable audio",
        "supported": "StableAudio",
        "config": {"embed_dim": 768, "num_heads": 12, "depth": 2},
        "latent": [2, 64, 21],
        "context": [9, 768],
        "options": {},
        "values": {"seconds_start": 1.5, "seconds_total": 20.0},
        "negative": True,
        "cfg": 3.0,
        "sampler": "dpmpp_2m",
        "scheduler": "exponential",
    },
    "stable audio, times from the latent": {
        "family": "stable audio",
        "supported": "StableAudio",
        "config": {"embed_dim": 768, "num_heads": 12, "depth": 2},
        "latent": [1, 64, 50],
        "context": [5, 768],
        "options": {},
    },
    "ltx-2, video alone": {**_SOUND, "family": "ltx-2", "latent": [1, 128, 2, 4, 5]},
}
"""A latent of several shapes is one of a video and its audio."""
