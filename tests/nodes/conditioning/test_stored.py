"""Conditionings in files, and Lotus' empty prompt."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.nodes.context import FolderContext

from safelight.nodes.conditioning.stored import (
    ConditioningLoader,
    LotusConditioning,
    SaveConditioning,
    UnsavableConditioning,
)


def test_a_saved_conditioning_comes_back(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "pooled_output": torch.rand(1, 8),
        "guidance": 3.5,
        "reference_latents": [torch.rand(1, 4, 2, 2), torch.rand(1, 4, 3, 1)],
        "control": None,
    }
    given = [[torch.rand(1, 5, 8), options]]
    with FolderContext(tmp_path).running():
        SaveConditioning.execute(given, "conditioning/one")
        (saved,) = tmp_path.rglob("one*.safetensors")
        (folder := tmp_path / "models" / "embeddings").mkdir(parents=True)
        saved.rename(folder / "one.safetensors")
        ((embedding, restored),) = ConditioningLoader.execute("one.safetensors").args[0]
    assert torch.equal(embedding, given[0][0])
    assert restored["guidance"] == 3.5
    assert "control" not in restored
    assert all(
        torch.equal(*pair) for pair in zip(restored["reference_latents"], options["reference_latents"], strict=True)
    )


def test_several_entries_and_unknown_values_are_refused() -> None:
    one = [torch.rand(1, 5, 8), {}]
    with pytest.raises(UnsavableConditioning, match="2 entries"):
        SaveConditioning.execute([one, one], "x")
    with pytest.raises(UnsavableConditioning, match="'hooks' is a object"):
        SaveConditioning.execute([[one[0], {"hooks": object()}]], "x")


def test_a_file_without_a_conditioning_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "embeddings"
    folder.mkdir(parents=True)
    save_file({"other": torch.zeros(1)}, folder / "a.safetensors")
    with FolderContext(tmp_path).running(), pytest.raises(ValueError, match="contains no conditioning"):
        ConditioningLoader.execute("a.safetensors")
    assert load_file(folder / "a.safetensors")


def test_the_empty_prompt_of_lotus_has_two_tokens() -> None:
    ((embedding, options),) = LotusConditioning.execute().args[0]
    assert embedding.shape == (1, 2, 1024)
    assert options == {}
