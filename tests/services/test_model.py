"""The list of model files follows the disk."""

from pathlib import Path

import pytest

from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.errors import NotFound
from safelight.core.node import InputSchema, NodeSchema
from safelight.services.catalogue import LiveCatalogue
from safelight.services.model import ModelFiles


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def test_it_lists_names_of_all_roots_and_the_first_wins(tmp_path: Path) -> None:
    put(tmp_path / "a/checkpoints/x/one.safetensors")
    put(tmp_path / "b/checkpoints/x/one.safetensors")
    put(tmp_path / "b/checkpoints/Two.ckpt")
    put(tmp_path / "b/checkpoints/readme.txt")
    put(tmp_path / "b/clip/t5.safetensors")
    index = ModelFiles([tmp_path / "a", tmp_path / "b"])
    index.refresh()
    assert [(f.name, f.path_index) for f in index.files("checkpoints")] == [("Two.ckpt", 1), ("x/one.safetensors", 0)]
    assert index.names("text_encoders") == ["t5.safetensors"]
    assert index.files("loras") == []
    with pytest.raises(NotFound, match="'nope'"):
        index.files("nope")


def test_it_notices_what_comes_and_goes(tmp_path: Path) -> None:
    index = ModelFiles([tmp_path])
    index.refresh()
    assert index.version == 0
    put(tmp_path / "loras/a.safetensors")
    index.refresh()
    assert (index.names("loras"), index.version) == (["a.safetensors"], 1)
    index.refresh()
    assert index.version == 1
    put(tmp_path / "loras/sub/b.safetensors")
    index.refresh()
    assert index.names("loras") == ["a.safetensors", "sub/b.safetensors"]
    (tmp_path / "loras/a.safetensors").unlink()
    index.refresh()
    assert index.names("loras") == ["sub/b.safetensors"]


def test_a_link_that_leads_back_ends(tmp_path: Path) -> None:
    put(tmp_path / "loras/a.safetensors")
    (tmp_path / "loras/loop").symlink_to(tmp_path / "loras")
    index = ModelFiles([tmp_path])
    index.refresh()
    assert "a.safetensors" in index.names("loras")


def test_combos_of_model_files_are_filled_in(tmp_path: Path) -> None:
    put(tmp_path / "vae/x.safetensors")
    index = ModelFiles([tmp_path])
    index.refresh()
    loader = NodeSchema(
        name="VAELoader",
        display_name="Load VAE",
        category="loaders",
        inputs=(InputSchema("vae_name", "COMBO", config={"model_folder": "vae", "options": ["pixel_space"]}),),
        outputs=(),
    )
    catalogue = LiveCatalogue(index)
    catalogue.publish(OWN, [loader], digest="d")
    filled = catalogue.current["VAELoader"].inputs[0]
    assert (filled.options, "model_folder" in filled.config) == (["pixel_space", "x.safetensors"], False)
    before = catalogue.version
    put(tmp_path / "vae/y.safetensors")
    index.refresh()
    assert catalogue.version != before
    assert catalogue.current["VAELoader"].inputs[0].options == ["pixel_space", "x.safetensors", "y.safetensors"]


def test_models_that_only_our_own_engine_knows_are_not_offered_for_others(tmp_path: Path) -> None:
    for root in ("all", "bundled"):
        put(tmp_path / root / "vae" / f"{root}.safetensors")
    index = ModelFiles([tmp_path / "all", tmp_path / "bundled"])
    index.refresh()
    declared = InputSchema("name", "COMBO", config={"model_folder": "vae", "options": []})
    loader = NodeSchema(name="Load", display_name="", category="", inputs=(declared,), outputs=())
    comfyui = EngineKind("comfyui")
    catalogue = LiveCatalogue(index, [OWN, comfyui], only_own=tmp_path / "bundled")
    for engine in (OWN, comfyui):
        catalogue.publish(engine, [loader], digest="d")
    assert catalogue.of(OWN)["Load"].inputs[0].options == ["all.safetensors", "bundled.safetensors"]
    assert catalogue.of(comfyui)["Load"].inputs[0].options == ["all.safetensors"]
