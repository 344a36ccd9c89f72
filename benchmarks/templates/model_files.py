"""Miniature files under the names that templates ask for.

Most names are those of the families' own miniatures. Where a template asks for another file of the same layout (another
quantisation, a LoRA, a fine-tuned network), :data:`SAME_LAYOUT` names the miniature that stands for it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safelight.nodes
from safelight.models.miniatures.file import MiniatureFile
from safelight.models.miniatures.writing import miniature_files, write_file
from safelight.sdk.registry import discover

SAME_LAYOUT: tuple[tuple[str, str, str], ...] = (
    # folder, a pattern of names, the name of the miniature
    ("diffusion_models", r"qwen_image_edit_2509_.*|FireRed-Image-Edit-.*", "qwen_image_edit_2509_fp8_e4m3fn"),
    ("diffusion_models", r"qwen_image_edit_2511_.*", "qwen_image_edit_2511_bf16"),
    ("diffusion_models", r"qwen_image_layered_control_bf16", "qwen_image_layered_bf16"),
    ("diffusion_models", r"flux1-dev-fp8", "flux1-dev"),
    ("diffusion_models", r"wan2\.1_fun_inp_.*", "wan2.1_i2v_480p_14B_fp16"),
    ("diffusion_models", r"wan2\.2_fun_inpaint_(high|low)_.*", "wan2.2_i2v_high_noise_14B_fp8_scaled"),
    ("checkpoints", r"NetaYume.*", "NetaYumev35_pretrained_all_in_one"),
    ("text_encoders", r"qwen_2\.5_vl_(7b|fp16).*", "qwen_2.5_vl_7b_fp8_scaled"),
    ("text_encoders", r"qwen3vl_4b_.*", "qwen3vl_4b_fp8_scaled"),
    ("loras", r"(?i)(qwen|firered|marigold|template_qwen).*", "Qwen-Image-Lightning-8steps-V1.0"),
    ("loras", r"Wan21_.*|lightx2v_.*", "wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise"),
    ("vae", r"marigold_v2_.*|Wan2_1_VAE_bf16", "qwen_image_vae"),
    ("text_encoders", r"qwen3vl_8b_.*", "qwen3vl_4b_fp8_scaled"),
)

_FORMATS = (
    ("fp8_scaled", "fp8_scaled"),
    ("fp8mixed", "fp8_scaled"),
    ("int8_convrot", "int8_convrot"),
    ("int8-convrot", "int8_convrot"),
    ("fp8_e4m3fn", "fp8_e4m3fn"),
    ("w4a8", "w4a8"),
    ("nvfp4_awq", "nvfp4_awq"),
    ("nvfp4", "nvfp4"),
    ("fp4_mixed", "nvfp4"),
    ("bf16", "bf16"),
    ("fp16", "bf16"),
)
"""A part of a file's name, and the format that it stands for."""


class NoMiniature(LookupError):
    """No miniature has the layout of this file."""


def wanted(graph: Mapping[str, Mapping[str, Any]], folders: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The folder and the name of each model file that a graph loads. ``folders``: where the template says that a file
    belongs, for nodes that do not say."""
    nodes = discover(safelight.nodes)
    for call in graph.values():
        node = nodes.get(call["class_type"])
        if node is None:
            continue
        for given in node.node_schema().inputs:
            folder = given.config.get("model_folder")
            name = call["inputs"].get(given.id)
            if folder and isinstance(name, str) and "." in name:
                yield (folder if isinstance(folder, str) else folders.get(name, "")), name


def write(root: Path, folder: str, name: str) -> None:
    """Write the file below a root of models, unless it is there. Raises :class:`NoMiniature`."""
    path = root / folder / name
    if path.exists():
        return
    file = _miniature(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, file)
    if file.tokenizer is not None:
        path.with_name(f"{path.stem}.tokenizer.json").write_text(file.tokenizer(), "utf-8")


def _miniature(folder: str, name: str) -> MiniatureFile:
    known = {(one.folder, Path(one.name).stem): one for one in miniature_files()}
    stem = Path(name).stem
    if (found := known.get((folder, stem))) is not None:
        return found
    for place, pattern, same in SAME_LAYOUT:
        if place == folder and re.fullmatch(pattern, stem) and (place, same) in known:
            source = known[place, same]
            return replace(source, name=name, format=_format(stem) or source.format)
    raise NoMiniature(f"{folder}/{name}")


def _format(stem: str) -> str | None:
    return next((format for part, format in _FORMATS if part in stem), None)
