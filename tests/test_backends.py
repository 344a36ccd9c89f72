"""What each slot starts, as the settings say."""

from pathlib import Path

from safelight.backends import engine_config, engines_of_slots
from safelight.core.engine_kind import OWN
from safelight.core.worker import SlotId
from safelight.dispatch.backends.commands import engine_command
from safelight.settings import BUNDLED_MODELS, Settings
from safelight.wire.config import EngineConfig


def mixed(tmp_path: Path, **values: object) -> Settings:
    engines = ("safelight", f"comfyui={tmp_path}/ComfyUI:/opt/python")
    return Settings.of(data_dir=tmp_path / "data", engines=engines, engine_workers=("comfyui=2",), **values)


def config(settings: Settings, slot: str) -> EngineConfig:
    name = SlotId(slot)
    engine = engines_of_slots(settings)[name]
    return engine_config(settings, name, engine, device="cpu", account=None, writable=(), readable=())


def test_slots_are_named_by_their_engine_so_that_another_engine_renames_none(tmp_path: Path) -> None:
    slots = engines_of_slots(mixed(tmp_path))
    assert [(slot, spec.kind) for slot, spec in slots.items()] == [
        ("local-0", "safelight"),
        ("local-comfyui-0", "comfyui"),
        ("local-comfyui-1", "comfyui"),
    ]
    assert list(engines_of_slots(mixed(tmp_path, backend="ray"))) == ["ray-0", "ray-comfyui-0", "ray-comfyui-1"]


def test_a_comfyui_gets_its_folder_its_interpreter_and_all_models_but_the_bundled_one(tmp_path: Path) -> None:
    settings = mixed(tmp_path, custom_nodes=(tmp_path / "packs",), writable_packs=("pack",))
    root = tmp_path / "ComfyUI"
    (root / "custom_nodes" / "pack").mkdir(parents=True)
    made = config(settings, "local-comfyui-1")
    assert (made.kind, made.root, made.python, made.node_packages) == ("comfyui", str(root), "/opt/python", ())
    assert made.custom_nodes == (str(root / "custom_nodes"),)
    assert made.model_roots == (str(tmp_path / "data" / "models"), str(root / "models"))
    assert made.rules is not None
    assert str(root) in (made.rules.readable or ())
    assert str(root / "custom_nodes" / "pack") in (made.rules.writable or ())
    assert str(root) not in (made.rules.writable or ())


def test_our_own_engine_sees_the_models_of_the_comfyui_and_none_of_its_packs(tmp_path: Path) -> None:
    made = config(mixed(tmp_path), "local-0")
    assert (made.kind, made.root, made.custom_nodes) == (OWN, "", ())
    roots = (tmp_path / "data" / "models", tmp_path / "ComfyUI" / "models", BUNDLED_MODELS)
    assert made.model_roots == tuple(str(root) for root in roots)


def test_the_command_of_a_slot_follows_from_its_engine(tmp_path: Path) -> None:
    settings = mixed(tmp_path)
    assert engine_command(config(settings, "local-0"))[-1] == "safelight.runtime.main"
    assert engine_command(config(settings, "local-comfyui-0"))[-1] == "safelight.comfyui_engine"
