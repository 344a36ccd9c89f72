"""``comfy.utils``: sizes, tiles, weights, progress."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.nodes.context import FolderContext

import safelight.shims.modules.comfy.utils as utils
from safelight.media.weights_format import PickledWeights


@pytest.mark.parametrize(("width", "height", "tile", "overlap"), [(20, 13, 8, 4), (8, 8, 8, 2), (5, 30, 16, 8)])
def test_tiles_give_the_same_result_as_the_whole(width: int, height: int, tile: int, overlap: int) -> None:
    samples = torch.rand(2, 3, height, width)
    seen: list[tuple[int, ...]] = []

    def double(part: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(part.shape[2:]))
        return part.repeat_interleave(2, -1).repeat_interleave(2, -2)

    bar = utils.ProgressBar(1000)
    made = utils.tiled_scale(samples, double, tile, tile, overlap, upscale_amount=2, out_channels=3, pbar=bar)
    assert torch.allclose(made, double(samples), atol=1e-6)
    steps = 2 * utils.get_tiled_scale_steps(width, height, tile, tile, overlap)
    assert bar.current == steps == len(seen) - 1
    assert all(max(size) <= tile for size in seen[:-1])


@pytest.mark.parametrize(("amount", "size"), [(lambda n: n * 4 - 3, 25), (4, 28)])
def test_tiles_of_one_dimension(amount: int | Callable[[float], float], size: int) -> None:
    made = utils.tiled_scale_multidim(
        torch.ones(1, 2, 7),
        lambda part: torch.ones(1, 1, int(amount(part.shape[2]) if callable(amount) else part.shape[2] * amount)),
        tile=(7,),
        overlap=1,
        upscale_amount=[amount],
        out_channels=1,
    )
    assert made.shape == (1, 1, size)
    assert torch.equal(made, torch.ones_like(made))


def test_sizes() -> None:
    image = torch.rand(1, 3, 4, 8)
    for method in ("nearest-exact", "bilinear", "area", "bicubic", "bislerp", "lanczos"):
        assert utils.common_upscale(image, 6, 6, method, "center").shape == (1, 3, 6, 6)
    assert utils.common_upscale(torch.rand(1, 4, 5, 8, 8), 4, 2, "bilinear").shape == (1, 4, 5, 2, 4)


def test_batches() -> None:
    batch = torch.arange(5.0)
    assert utils.repeat_to_batch_size(batch, 7).tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert utils.repeat_to_batch_size(batch, 2).tolist() == [0, 1]
    assert utils.resize_to_batch_size(batch, 3).tolist() == [0, 2, 4]
    assert utils.resize_to_batch_size(batch, 9).tolist()[::8] == [0, 4]
    assert utils.reshape_mask(torch.ones(2, 2), (3, 4, 8, 6)).shape == (3, 4, 8, 6)


def test_weights_are_read_from_safetensors_only(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    utils.save_torch_file({"a.x": torch.ones(2, 3), "a.y": torch.zeros(1, dtype=torch.float16)}, str(path), {"k": "v"})
    tensors, metadata = utils.load_torch_file(path, return_metadata=True)
    assert torch.equal(tensors["a.x"], torch.ones(2, 3))
    assert metadata == {"k": "v"}
    assert b'"a.x"' in (utils.safetensors_header(str(path)) or b"")
    assert utils.safetensors_header(str(path), max_size=3) is None
    assert (utils.calculate_parameters(tensors, "a."), utils.weight_dtype(tensors)) == (7, torch.float32)
    assert list(utils.state_dict_prefix_replace(dict(tensors), {"a.": "b."}, filter_keys=True)) == ["b.x", "b.y"]
    torch.save({"x": torch.ones(1)}, tmp_path / "w.ckpt")
    with pytest.raises(PickledWeights, match=r"w\.ckpt is a pickle"):
        utils.load_torch_file(tmp_path / "w.ckpt")


def test_progress_is_that_of_the_call_in_which_the_bar_was_made(tmp_path: Path) -> None:
    with FolderContext(tmp_path).running() as run:
        bar = utils.ProgressBar(4)
    bar.update(1)
    bar.update_absolute(9, 8, ("JPEG", None, 512))
    assert run.steps == [(1, 4), (8, 8)]
    utils.ProgressBar(1).update(1)


def test_a_hook_receives_progress() -> None:
    heard: list[Any] = []
    utils.set_progress_bar_global_hook(lambda *args, **kwargs: heard.append((args, kwargs)))
    try:
        utils.ProgressBar(2, node_id="7").update(1)
    finally:
        utils.set_progress_bar_global_hook(None)
    assert heard == [((1, 2, None), {"node_id": "7"})]


def test_attributes_by_path() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(1, 1))
    before = utils.get_attr(model, "0.weight")
    assert utils.set_attr_param(model, "0.weight", torch.full((1, 1), 3.0)) is before
    utils.copy_to_param(model, "0.weight", torch.full((1, 1), 4.0))
    assert model[0].weight.item() == 4.0
