"""Which model files this engine cannot load, told from their headers."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from safelight.runtime.model_examination import unusable
from safelight.wire.messages import ModelToExamine


def write(path: Path, shapes: dict[str, tuple[int, ...]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.zeros(1).expand(shape).clone() for name, shape in shapes.items()}, path)
    return str(path)


def test_a_file_of_an_unknown_family_is_named_and_a_known_one_is_not(tmp_path: Path) -> None:
    miniature = Path(__file__).parents[2] / "src/safelight/bundled/models/checkpoints/safelight-miniature.safetensors"
    strange = write(tmp_path / "strange.safetensors", {"blocks.0.self_attn.q.weight": (4, 4)})
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a header")
    files = [ModelToExamine("checkpoints", str(path)) for path in (miniature, strange, broken)]
    found = unusable([*files, ModelToExamine("checkpoints", str(tmp_path / "gone.safetensors"))])
    assert set(found) == {strange, str(broken)}
    assert "'strange.safetensors' contains no supported diffusion network" in found[strange]


def test_old_names_of_folders_are_understood_and_other_folders_are_not_examined(tmp_path: Path) -> None:
    strange = write(tmp_path / "strange.safetensors", {"blocks.0.weight": (4, 4)})
    assert set(unusable([ModelToExamine("unet", strange)])) == {strange}
    assert set(unusable([ModelToExamine("clip", strange)])) == {strange}
    assert unusable([ModelToExamine("loras", strange)]) == {}
