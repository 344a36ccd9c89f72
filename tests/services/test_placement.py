"""Where a job may run."""

from pathlib import Path

import pytest

from safelight.core.errors import Invalid
from safelight.core.pool import ANY, Pool, SizeClass, class_of, read_classes, read_labels
from safelight.services.model import ModelFiles
from safelight.services.placement import Placement, place

LARGE, HUGE = Pool("large"), Pool("huge")
CLASSES = [SizeClass(100, LARGE), SizeClass(1000, HUGE)]
PROMPT = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a/base.safetensors"}},
    "2": {"class_type": "LoraLoader", "inputs": {"lora_name": "x.safetensors", "model": ["1", 0], "note": "base"}},
}


@pytest.fixture
def models(tmp_path: Path) -> ModelFiles:
    for name, size in (("checkpoints/a/base.safetensors", 90), ("loras/x.safetensors", 20), ("vae/v.pt", 5000)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    index = ModelFiles([tmp_path])
    index.refresh()
    return index


def test_the_models_of_a_prompt_together_make_its_class(models: ModelFiles) -> None:
    names = ["a/base.safetensors", "x.safetensors"]
    assert place(PROMPT, {}, models=models, pools=[LARGE, HUGE], classes=CLASSES) == Placement(LARGE, names)
    assert place(PROMPT, {}, models=models, pools=[], classes=[]) == Placement(ANY, names)
    assert place({}, {}, models=models, pools=[LARGE], classes=CLASSES) == Placement(ANY, [])


def test_a_client_may_choose_a_pool_that_is_there(models: ModelFiles) -> None:
    chosen = place(PROMPT, {"pool": "huge"}, models=models, pools=[LARGE, HUGE], classes=CLASSES)
    assert chosen.pool == HUGE
    for wrong in ("small", "", 7):
        with pytest.raises(Invalid, match="valid: huge, large"):
            place(PROMPT, {"pool": wrong}, models=models, pools=[LARGE, HUGE], classes=CLASSES)


def test_a_file_that_grows_counts_as_it_is_now(models: ModelFiles, tmp_path: Path) -> None:
    (tmp_path / "loras" / "x.safetensors").write_bytes(bytes(2000))
    assert place(PROMPT, {}, models=models, pools=[HUGE], classes=CLASSES).pool == HUGE


def test_classes_by_their_least_bytes() -> None:
    assert [class_of(size, CLASSES) for size in (0, 99, 100, 999, 1000)] == [ANY, ANY, LARGE, LARGE, HUGE]


def test_labels_as_an_operator_writes_them() -> None:
    assert read_labels(["large+fast=2", "small=1"], slots=4) == [
        {"large", "fast"}, {"large", "fast"}, {"small"}, frozenset(),
    ]  # fmt: skip
    for wrong in (["large"], ["large=0"], ["Large=1"], ["a+=1"], ["a=9"], ["a=-1"]):
        with pytest.raises(Invalid):
            read_labels(wrong, slots=4)


def test_a_class_that_no_worker_could_run_is_refused() -> None:
    assert read_classes(["large=100"], pools=[LARGE]) == [SizeClass(100, LARGE)]
    with pytest.raises(Invalid, match="would wait for ever"):
        read_classes(["huge=100"], pools=[LARGE])
