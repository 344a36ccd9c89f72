"""``safelight model`` as a user runs it."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def safelight(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "safelight.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ) | {"COLUMNS": "400"})


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> object:
        return os.mkdir, (str(self._path),)


def test_a_pickle_becomes_safetensors(tmp_path: Path) -> None:
    weights = {"a": torch.randn(3, 4), "b": torch.randn(4, 3).half().T}
    source = tmp_path / "w.ckpt"
    torch.save({"state_dict": weights, "epoch": 3}, source)
    ran = safelight("model", "convert", source)
    assert (ran.returncode, ran.stderr) == (0, "")
    made = load_file(tmp_path / "w.safetensors")
    assert made.keys() == weights.keys()
    assert all(torch.equal(made[name], weights[name]) for name in weights)
    again = safelight("model", "convert", source)
    assert (again.returncode, again.stderr) == (
        1,
        f"safelight: {tmp_path / 'w.safetensors'} exists already; choose another file with --out\n",
    )
    other = safelight("model", "convert", tmp_path / "w.safetensors", "--out", tmp_path / "x.safetensors")
    assert "is safetensors and can be loaded without conversion" in other.stderr


def test_a_pickle_with_code_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    source = tmp_path / "evil.pt"
    torch.save({"a": torch.ones(1), "b": Evil(tmp_path / "made")}, source)
    ran = safelight("model", "convert", source)
    assert ran.returncode == 1
    assert (
        ran.stderr
        == f"safelight: {source}: not converted: the pickle asks for posix.mkdir, which weights do not need\n"
    )
    assert os.listdir(tmp_path) == ["evil.pt"]


def test_a_small_file_cannot_fill_the_disk(tmp_path: Path) -> None:
    source = tmp_path / "w.pt"
    torch.save({f"t{n}": torch.ones(1).expand(2**20, 2**6) for n in range(8)}, source)
    ran = safelight("model", "convert", source)
    assert (ran.returncode, ran.stderr) == (
        1,
        f"safelight: {source}: the converted file would be far larger than the original\n",
    )
    assert os.listdir(tmp_path) == ["w.pt"]


def test_check_lists_files_that_cannot_be_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    save_file({"a": torch.ones(2)}, folder / "good.safetensors")
    assert safelight("model", "check", "--models-dir", tmp_path).stdout == "Every file can be loaded.\n"
    torch.save({"a": torch.ones(2)}, folder / "renamed.safetensors")
    (folder / "cut.safetensors").write_bytes((folder / "good.safetensors").read_bytes()[:-1])
    ran = safelight("model", "check", "--models-dir", tmp_path)
    assert ran.returncode == 1
    _, cut, renamed = ran.stdout.splitlines()
    assert "cut.safetensors" in cut
    assert "the file at byte 7" in cut
    assert "renamed.safetensors is a pickle" in renamed
    assert safelight("model", "check", folder / "good.safetensors").returncode == 0


def test_gguf_files_are_loaded_from_the_folders_of_diffusion_models_and_text_encoders(tmp_path: Path) -> None:
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)
    for name in ("unet", "loras"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"in_{name}.gguf").write_bytes(data)
    ran = safelight("model", "check", "--models-dir", tmp_path)
    assert ran.returncode == 1
    assert "in_loras.gguf is a GGUF file, which the loaders of this folder do not read" in " ".join(ran.stdout.split())
    assert "in_unet" not in ran.stdout
    assert safelight("model", "check", tmp_path / "unet" / "in_unet.gguf").returncode == 0
    assert "is a GGUF file" in safelight("model", "convert", tmp_path / "unet" / "in_unet.gguf").stderr


def test_miniature_weights_are_listed_and_written(tmp_path: Path) -> None:
    assert "z-image-turbo" in safelight("model", "miniature").stdout.split()
    ran = safelight("model", "miniature", "z-image-turbo", tmp_path)
    assert ran.returncode == 0
    assert (tmp_path / "diffusion_models" / "z_image_turbo_bf16.safetensors").is_file()
    assert safelight("model", "check", tmp_path / "vae" / "ae.safetensors").returncode == 0
    assert "no miniature 'x'" in safelight("model", "miniature", "x", tmp_path).stderr
    assert "DIRECTORY is missing" in safelight("model", "miniature", "x").stderr
