"""The names of the modules of LTX networks in LoRA files: the file's own, and those of diffusers."""

from collections.abc import Mapping

import torch

from safelight.models.lora.names import modules_of, normalized
from safelight.models.weight_layers import WeightPart

_OTHERS = {
    "patchify_proj": "proj_in",
    "audio_patchify_proj": "audio_proj_in",
    "adaln_single": "time_embed",
    "audio_adaln_single": "audio_time_embed",
    "prompt_adaln_single": "prompt_adaln",
    "audio_prompt_adaln_single": "audio_prompt_adaln",
    "av_ca_video_scale_shift_adaln_single": "av_cross_attn_video_scale_shift",
    "av_ca_a2v_gate_adaln_single": "av_cross_attn_video_a2v_gate",
    "av_ca_audio_scale_shift_adaln_single": "av_cross_attn_audio_scale_shift",
    "av_ca_v2a_gate_adaln_single": "av_cross_attn_audio_v2a_gate",
}
"""First parts of a name, and how diffusers names them."""


def ltx_names(shapes: Mapping[str, torch.Size]) -> dict[str, WeightPart]:
    """See :attr:`safelight.models.network.Network.lora_names`."""
    names: dict[str, WeightPart] = {}
    for module in modules_of(shapes):
        first, dot, rest = module.partition(".")
        for spelled in (module, f"{_OTHERS.get(first, first)}{dot}{rest}"):
            names[normalized(spelled)] = WeightPart(module)
            names.setdefault(normalized(spelled.removesuffix(".0")), WeightPart(module))
    return names
