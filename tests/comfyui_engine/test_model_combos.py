"""Telling which combos list a model folder."""

from types import SimpleNamespace
from typing import Any

from safelight.comfyui_engine.agent.catalogue import schemas
from safelight.comfyui_engine.agent.model_combos import combos_of, marked_lists

FILES = {"checkpoints": ["a.safetensors", "b.safetensors"], "vae": [], "of_a_pack": ["c.pt"]}


class Node:
    """A V1 node."""


def answer(folder_paths: Any) -> dict[str, Any]:
    """What ComfyUI answers of one node with several combos."""
    listed = folder_paths.get_filename_list
    inputs = {
        "checkpoint": [listed("checkpoints"), {"tooltip": "which"}],
        "maybe": [["None", *listed("checkpoints")]],
        "newer": ["COMBO", {"options": listed("vae")}],
        "old_name": [listed("ckpt")],
        "of_pack": [listed("of_a_pack")],
        "mode": [["fast", "slow"]],
        "any": [listed("checkpoints") + listed("vae")],
        "number": ["INT", {}],
    }
    return {"Load": {"input": {"required": inputs}, "output": [], "output_node": True}}


def test_a_combo_of_models_names_its_folder_and_keeps_what_else_it_offers() -> None:
    folder_paths = SimpleNamespace(
        get_filename_list=lambda name: list(FILES[name if name != "ckpt" else "checkpoints"]),
        map_legacy=lambda name: "checkpoints" if name == "ckpt" else name,
    )
    plain, original = answer(folder_paths), folder_paths.get_filename_list
    with marked_lists(folder_paths, ["checkpoints", "vae"]) as listed:
        marked = answer(folder_paths)
    assert folder_paths.get_filename_list is original
    [schema] = schemas(plain, {"Load": Node}, combos_of(marked, listed))
    configs = {one["id"]: one["config"] for one in schema["inputs"]}
    assert configs == {
        "checkpoint": {"tooltip": "which", "options": [], "model_folder": "checkpoints"},
        "maybe": {"options": ["None"], "model_folder": "checkpoints"},
        "newer": {"options": [], "model_folder": "vae"},
        "old_name": {"options": [], "model_folder": "checkpoints"},
        "of_pack": {"options": ["c.pt"]},
        "mode": {"options": ["fast", "slow"]},
        "any": {"options": ["a.safetensors", "b.safetensors"]},
        "number": {},
    }
