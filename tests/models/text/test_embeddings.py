"""Textual inversion: files of every layout, found by name, and those that are refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext

from safelight.media.media_errors import UnreadableWeights
from safelight.models.text.embeddings import find_embedding


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "models" / "embeddings"
    folder.mkdir(parents=True)
    with FolderContext(tmp_path).running():
        yield folder


def test_files_of_one_encoder_and_of_two(folder: Path) -> None:
    vectors = torch.randn(2, 768)
    save_file({"emb_params": vectors}, folder / "one.safetensors")
    save_file({"clip_l": vectors, "clip_g": torch.randn(3, 1280)}, folder / "two.safetensors")
    save_file({"<word>": vectors[0]}, folder / "word.safetensors")
    for name in ("one", "one.safetensors", "two"):
        found = find_embedding(name, encoder="l", width=768)
        assert found is not None
        assert torch.equal(found, vectors)
    single = find_embedding("word", encoder="l", width=768)
    assert single is not None
    assert torch.equal(single, vectors[:1])
    other = find_embedding("two", encoder="g", width=1280)
    assert other is not None
    assert other.shape == (3, 1280)


def test_missing_embeddings_and_those_of_another_width(folder: Path) -> None:
    save_file({"emb_params": torch.randn(2, 768)}, folder / "one.safetensors")
    assert find_embedding("absent", encoder="l", width=768) is None
    assert find_embedding("one", encoder="h", width=1024) is None


def test_pickles_are_refused(folder: Path) -> None:
    torch.save({"string_to_param": {"*": torch.zeros(1, 768)}}, folder / "old.pt")
    with pytest.raises(UnreadableWeights, match="is a pickle"):
        find_embedding("old", encoder="l", width=768)
