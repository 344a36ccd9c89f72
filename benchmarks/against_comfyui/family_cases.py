"""The runs of ``families.py``, which both sides read: numbers and names, without weights. Imports nothing of either."""

import zlib
from types import SimpleNamespace
from typing import Any

import torch
from benchmarks.against_comfyui.hunyuan_video_cases import CASES as HUNYUAN_VIDEO
from benchmarks.against_comfyui.ltx_cases import LTX_CASES
from benchmarks.against_comfyui.wan_cases import CASES as WAN

Case = dict[str, Any]

CASES: dict[str, Case] = {
    **WAN,
    **HUNYUAN_VIDEO,
    "flux dev": {
        "family": "flux",
        "supported": "Flux",
        "config": {"num_heads": 2},
        "latent": [2, 16, 10, 7],
        "context": [9, 4096],
        "options": {"pooled_output": [1, 768]},
        "guidance": 2.5,
    },
    "flux dev, second picture and reference": {
        "family": "flux",
        "supported": "Flux",
        "config": {"num_heads": 2},
        "latent": [1, 16, 8, 8],
        "context": [5, 4096],
        "options": {"pooled_output": [1, 768], "reference_latents": [[1, 16, 6, 5], [1, 16, 4, 9]]},
        "negative": True,
        "cfg": 2.0,
    },
    "flux schnell": {
        "family": "flux schnell",
        "supported": "FluxSchnell",
        "config": {"num_heads": 2},
        "latent": [1, 16, 8, 8],
        "context": [5, 4096],
        "options": {"pooled_output": [1, 768]},
    },
    "z-image": {
        "family": "z-image",
        "supported": "ZImage",
        "config": {
            "n_heads": 2,
            "n_kv_heads": 2,
            "n_refiner_layers": 1,
            "axes_dims": [32, 48, 48],
            "rope_theta": 256.0,
            "ffn_dim_multiplier": 2.0,
            "z_image_modulation": True,
            "time_scale": 1000.0,
            "pad_tokens_multiple": 32,
        },
        "latent": [2, 16, 10, 7],
        "context": [9, 96],
        "options": {},
        "negative": True,
        "cfg": 3.0,
        "sampler": "res_multistep",
    },
    "z-image, two refiners": {
        "family": "z-image, two refiners",
        "supported": "ZImage",
        "config": {
            "n_heads": 2,
            "n_kv_heads": 2,
            "n_refiner_layers": 2,
            "axes_dims": [32, 48, 48],
            "rope_theta": 256.0,
            "ffn_dim_multiplier": 2.0,
            "z_image_modulation": True,
            "time_scale": 1000.0,
            "pad_tokens_multiple": 32,
        },
        "latent": [1, 16, 8, 6],
        "context": [9, 96],
        "options": {},
        "negative": True,
        "cfg": 3.0,
        "sampler": "res_multistep",
    },
    "anima, without its adapter": {
        "family": "anima",
        "supported": "CosmosFlow",
        "config": {"num_blocks": 2, "num_heads": 2, "crossattn_emb_channels": 96},
        "latent": [2, 16, 1, 8, 6],
        "context": [7, 96],
        "options": {},
        "negative": True,
        "cfg": 3.0,
    },
    "qwen-image": {
        "family": "qwen-image",
        "supported": "QwenImage",
        "config": {"num_attention_heads": 2, "joint_attention_dim": 96},
        "latent": [2, 16, 1, 10, 7],
        "context": [9, 96],
        "options": {},
        "negative": True,
        "cfg": 2.5,
    },
    "qwen-image edit, two references": {
        "family": "qwen-image",
        "supported": "QwenImage",
        "config": {"num_attention_heads": 2, "joint_attention_dim": 96},
        "latent": [1, 16, 1, 8, 8],
        "context": [9, 96],
        "options": {"reference_latents": [[1, 16, 1, 6, 5], [1, 16, 1, 4, 9]]},
    },
    "qwen-image edit 2511": {
        "family": "qwen-image 2511",
        "supported": "QwenImage",
        "config": {"num_attention_heads": 2, "joint_attention_dim": 96},
        "latent": [1, 16, 1, 8, 6],
        "context": [5, 96],
        "options": {"reference_latents": [[1, 16, 1, 6, 5]]},
    },
    "qwen-image layered": {
        "family": "qwen-image layered",
        "supported": "QwenImage",
        "config": {"num_attention_heads": 2, "joint_attention_dim": 96},
        "latent": [1, 16, 4, 6, 8],
        "context": [5, 96],
        "options": {"reference_latents": [[1, 16, 1, 6, 8]]},
    },
    "z-image, easycache": {
        "family": "z-image",
        "supported": "ZImage",
        "config": {
            "n_heads": 2,
            "n_kv_heads": 2,
            "n_refiner_layers": 1,
            "axes_dims": [32, 48, 48],
            "rope_theta": 256.0,
            "ffn_dim_multiplier": 2.0,
            "z_image_modulation": True,
            "time_scale": 1000.0,
            "pad_tokens_multiple": 32,
        },
        "latent": [1, 16, 10, 7],
        "context": [9, 96],
        "options": {},
        "nodes": {"EasyCache": {"reuse_threshold": 3.0, "start_percent": 0.0, "end_percent": 0.95, "verbose": False}},
        "negative": True,
        "cfg": 3.0,
        "sampler": "euler",
    },
    "z-image, lazycache": {
        "family": "z-image",
        "supported": "ZImage",
        "config": {
            "n_heads": 2,
            "n_kv_heads": 2,
            "n_refiner_layers": 1,
            "axes_dims": [32, 48, 48],
            "rope_theta": 256.0,
            "ffn_dim_multiplier": 2.0,
            "z_image_modulation": True,
            "time_scale": 1000.0,
            "pad_tokens_multiple": 32,
        },
        "latent": [1, 16, 10, 7],
        "context": [9, 96],
        "options": {},
        "nodes": {"LazyCache": {"reuse_threshold": 3.0, "start_percent": 0.0, "end_percent": 0.95, "verbose": False}},
        "negative": True,
        "cfg": 3.0,
        "sampler": "euler",
    },
    "z-image, renormalized guidance": {
        "family": "z-image",
        "supported": "ZImage",
        "config": {
            "n_heads": 2,
            "n_kv_heads": 2,
            "n_refiner_layers": 1,
            "axes_dims": [32, 48, 48],
            "rope_theta": 256.0,
            "ffn_dim_multiplier": 2.0,
            "z_image_modulation": True,
            "time_scale": 1000.0,
            "pad_tokens_multiple": 32,
        },
        "latent": [1, 16, 10, 7],
        "context": [9, 96],
        "options": {},
        "nodes": {"RenormCFG": {"cfg_trunc": 0.8, "renorm_cfg": 0.8}},
        "negative": True,
        "cfg": 3.0,
        "sampler": "euler",
    },
    "z-image, rescaled score": {
        "family": "z-image",
        "supported": "ZImage",
        "config": {
            "n_heads": 2,
            "n_kv_heads": 2,
            "n_refiner_layers": 1,
            "axes_dims": [32, 48, 48],
            "rope_theta": 256.0,
            "ffn_dim_multiplier": 2.0,
            "z_image_modulation": True,
            "time_scale": 1000.0,
            "pad_tokens_multiple": 32,
        },
        "latent": [1, 16, 10, 7],
        "context": [9, 96],
        "options": {},
        "nodes": {"TemporalScoreRescaling": {"tsr_k": 0.8, "tsr_sigma": 1.5}},
        "negative": True,
        "cfg": 3.0,
        "sampler": "euler",
    },
    "lumina 2": {
        "family": "lumina 2",
        "supported": "Lumina2",
        "config": {
            "n_heads": 2,
            "n_kv_heads": 1,
            "n_refiner_layers": 1,
            "axes_dims": [32, 32, 32],
            "rope_theta": 10000.0,
            "ffn_dim_multiplier": 4.0,
        },
        "latent": [1, 16, 8, 12],
        "context": [7, 80],
        "options": {},
    },
    "flux fill": {
        "family": "flux fill",
        "supported": "FluxInpaint",
        "config": {"num_heads": 2},
        "latent": [1, 16, 8, 6],
        "context": [5, 4096],
        "options": {
            "pooled_output": [1, 768],
            "concat_latent_image": [1, 16, 8, 6],
            "concat_mask": [1, 1, 64, 48],
        },
    },
    "flux2": {
        "family": "flux2",
        "supported": "Flux2",
        "config": {"num_heads": 2, "guidance_embed": True},
        "latent": [1, 128, 5, 4],
        "context": [7, 192],
        "options": {"pooled_output": [1, 768], "reference_latents": [[1, 128, 3, 2]]},
        "guidance": 4.0,
    },
    "chroma": {
        "family": "chroma",
        "supported": "Chroma",
        "config": {"num_heads": 2, "hidden_dim": 128, "out_dim": 256},
        "latent": [1, 16, 7, 6],
        "context": [5, 4096],
        "options": {"pooled_output": [1, 768]},
        "negative": True,
        "cfg": 3.0,
    },
    "sd3.5 large": {
        "family": "sd35 large",
        "supported": "SD3",
        "config": {"num_blocks": 2},
        "latent": [1, 16, 9, 6],
        "context": [11, 4096],
        "options": {"pooled_output": [1, 2048]},
        "negative": True,
        "cfg": 3.0,
    },
    "sd3.5 medium": {
        "family": "sd35 medium",
        "supported": "SD3",
        "config": {"num_blocks": 2},
        "latent": [1, 16, 9, 6],
        "context": [11, 4096],
        "options": {"pooled_output": [1, 2048]},
        "negative": True,
        "cfg": 3.0,
    },
    "sd3 medium": {
        "family": "sd3 medium",
        "supported": "SD3",
        "config": {"num_blocks": 2},
        "latent": [1, 16, 9, 6],
        "context": [11, 4096],
        "options": {"pooled_output": [1, 2048]},
        "negative": True,
        "cfg": 3.0,
    },
    "hidream": {
        "family": "hidream",
        "supported": "HiDream",
        "config": {
            "num_attention_heads": 2,
            "num_layers": 2,
            "num_single_layers": 2,
            "llama_layers": [0, 1, 2, 2],
        },
        "latent": [1, 16, 6, 7],
        "context": [5, 4096],
        "options": {"pooled_output": [1, 2048], "conditioning_llama3": [1, 3, 4, 4096]},
        "negative": True,
        "cfg": 3.0,
    },
    "hidream, picture to edit": {
        "family": "hidream",
        "supported": "HiDream",
        "config": {
            "num_attention_heads": 2,
            "num_layers": 2,
            "num_single_layers": 2,
            "llama_layers": [0, 1, 2, 2],
        },
        "latent": [1, 16, 6, 6],
        "context": [5, 4096],
        "options": {
            "pooled_output": [1, 2048],
            "conditioning_llama3": [1, 3, 4, 4096],
            "concat_latent_image": [1, 16, 6, 6],
        },
    },
}
CASES.update(LTX_CASES)
"""``options`` have shapes, whose values :func:`drawn` draws. ``family`` is a key of ``families.ARCHITECTURES``."""

STEPS = (1, 4)
SEED = 11


def drawn(name: str, shape: list[int]) -> torch.Tensor:
    """Normal numbers that depend only on the name and the shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def start(name: str, case: Case) -> tuple[list[torch.Tensor], torch.Tensor | None]:
    """The parts of the latent, and the mask of what is to be painted."""
    shapes = case["latent"] if isinstance(case["latent"][0], list) else [case["latent"]]
    parts = [torch.zeros(shape) for shape in shapes]
    if not (given := case.get("given_frames", 0)):
        return parts, None
    latent = parts[0]
    latent[:, :, :given] = drawn(f"{name} given", list(latent[:, :, :given].shape))
    mask = torch.ones(1, 1, *latent.shape[2:])
    mask[:, :, :given] = 0.0
    return parts, mask


def weight(name: str, shape: list[int]) -> torch.Tensor:
    """A weight whose layer keeps the size of its input, roughly."""
    numbers = drawn(name, shape)
    if len(shape) < 2:
        is_norm = any(part in name for part in ("norm", "scale"))
        return 1 + 0.1 * numbers if is_norm and name.endswith(("scale", "weight")) else 0.1 * numbers
    fan_in = numbers[0].numel()
    return numbers * fan_in**-0.5


def conditioning(name: str, case: Case, *, side: str) -> list[list[Any]]:
    options: dict[str, Any] = {}
    for key, shape in case["options"].items():
        if key == "clip_vision_output":
            states = drawn(f"{name} {side} {key}", shape)
            options[key] = SimpleNamespace(penultimate_hidden_states=states, last_hidden_state=states)
        elif isinstance(shape[0], list):
            options[key] = [drawn(f"{name} {side} {key} {index}", one) for index, one in enumerate(shape)]
        elif key == "attention_mask":
            options[key] = (torch.arange(shape[-1]) < shape[-1] - 2).long().expand(shape)
        elif key == "keyframe_idxs":
            starts = (drawn(f"{name} {key}", [*shape[:-1], 1]) * 50).abs().long()
            options[key] = torch.cat((starts, starts + 8), dim=-1)
        elif key == "concat_mask":
            options[key] = (drawn(f"{name} {key}", shape) > 0).float()
        else:
            options[key] = drawn(f"{name} {side} {key}", shape)
    options |= case.get("values", {})
    for key in ("guidance", "reference_latents_method", "frame_rate"):
        if key in case:
            options[key] = case[key]
    return [[drawn(f"{name} {side} context", [1, *case["context"]]), options]]
