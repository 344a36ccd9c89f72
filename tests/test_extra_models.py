"""``extra_model_paths.yaml``, and the order of several folders."""

from pathlib import Path

import pytest

from safelight import settings
from safelight.core.model_folders import ExtraPlace, places_of
from safelight.services.model import ModelFiles
from safelight.settings.extra_model_paths import read_extra_model_paths
from safelight.shims import model_folders

YAML = """
a1111:
    base_path: ~/webui
    checkpoints: models/Stable-diffusion
    loras: |
        models/Lora
        models/LyCORIS
    custom_nodes: extensions
comfyui:
    is_default: true
    unet: /srv/unets
    ultralytics: sub/yolo
empty:
"""


def test_a_file_like_comfyuis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    (tmp_path / "extra.yaml").write_text(YAML)
    assert read_extra_model_paths(tmp_path / "extra.yaml") == (
        ExtraPlace("checkpoints", Path("/home/anna/webui/models/Stable-diffusion")),
        ExtraPlace("loras", Path("/home/anna/webui/models/Lora")),
        ExtraPlace("loras", Path("/home/anna/webui/models/LyCORIS")),
        ExtraPlace("unet", Path("/srv/unets"), True),
        ExtraPlace("ultralytics", tmp_path / "sub/yolo", True),
    )


@pytest.mark.parametrize(
    ("text", "words"), [("- a", "table of sections"), ("a: b", "'a' is not a table"), ("a: {loras: [1]}", "not a path")]
)
def test_an_invalid_file_is_reported_with_its_setting(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "extra.yaml").write_text(text)
    with pytest.raises(settings.InvalidSetting, match=words):
        settings.load(overrides={"extra_model_paths": str(tmp_path / "extra.yaml")}, environment={})
    with pytest.raises(settings.InvalidSetting, match="cannot be read"):
        settings.load(overrides={"extra_model_paths": str(tmp_path / "absent.yaml")}, environment={})


def test_folders_are_in_comfyuis_order() -> None:
    roots = [Path("/a"), Path("/b")]
    extra = [ExtraPlace("unet", Path("/last")), ExtraPlace("diffusion_models", Path("/first"), True)]
    places = ["/first", "/a/unet", "/a/diffusion_models", "/b/unet", "/b/diffusion_models", "/last"]
    for name in ("unet", "diffusion_models"):
        assert [str(place) for place in places_of(name, roots, extra)] == places


def test_the_server_and_the_packs_read_the_same_file_of_a_name(tmp_path: Path) -> None:
    for place in ("root/unet", "root/diffusion_models", "elsewhere"):
        (tmp_path / place / "sub").mkdir(parents=True)
        (tmp_path / place / "sub" / "a.safetensors").write_text(place)
    for extra in ((), (ExtraPlace("unet", tmp_path / "elsewhere", True),)):
        index = ModelFiles([tmp_path / "root"], extra)
        index.refresh()
        [of_server] = index.files("diffusion_models")
        table = model_folders.table([tmp_path / "root"], tmp_path, extra)
        of_packs = model_folders.find(table, "diffusion_models", "sub\\a.safetensors")
        assert str(of_server.path) == of_packs
        assert of_server.path.read_text() == ("elsewhere" if extra else "root/unet")
        assert index.find(["sub\\a.safetensors"]).keys() == {"sub\\a.safetensors"}


def test_packs_find_folders_that_the_server_does_not_know(tmp_path: Path) -> None:
    table = model_folders.table([tmp_path], tmp_path, [ExtraPlace("ultralytics", Path("/srv/yolo"))])
    assert table["ultralytics"][0] == ["/srv/yolo"]
