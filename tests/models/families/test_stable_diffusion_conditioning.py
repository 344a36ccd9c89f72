"""How each family's network uses conditioning."""

import math
from typing import Any

import pytest
import torch

from safelight.models.families.stable_diffusion.conditioning import (
    Editing,
    Inpainting,
    PooledText,
    PooledTextAndSizes,
    PooledTextSizeAndScore,
    TextOnly,
)
from safelight.models.latent_format import LatentFormat

SHAPE = torch.Size((2, 4, 6, 8))
CPU = torch.device("cpu")
FORMAT = LatentFormat(scale=0.5)


CONTEXT = torch.ones(1, 3, 5)


def prepared(adapter: Any, options: dict[str, Any], *, is_negative: bool = False) -> dict[str, torch.Tensor]:
    """The inputs besides the embeddings, without those that are missing."""
    made = adapter.prepare(CONTEXT, options, shape=SHAPE, device=CPU, is_negative=is_negative)
    assert made.context is CONTEXT
    return {name: value for name, value in {"y": made.y, "concat": made.concat}.items() if value is not None}


def spread(number: float) -> torch.Tensor:
    """256 numbers, cosines first, by the formula of the transformer paper."""
    angles = torch.tensor([number * math.exp(-math.log(10000) * i / 128) for i in range(128)])
    return torch.cat((angles.cos(), angles.sin()))


def test_text_only_models_get_nothing_else() -> None:
    assert prepared(TextOnly(), {"pooled_output": torch.ones(1, 8)}) == {}
    assert torch.equal(prepared(PooledText(8), {"pooled_output": torch.ones(1, 8)})["y"], torch.ones(1, 8))
    assert torch.equal(prepared(PooledText(8), {})["y"], torch.zeros(1, 8))


def test_sdxl_is_conditioned_on_sizes() -> None:
    options = {"pooled_output": torch.full((1, 1280), 0.5), "width": 1024, "height": 768, "crop_w": 3, "crop_h": 5}
    y = prepared(PooledTextAndSizes(), {**options, "target_width": 900, "target_height": 700})["y"]
    assert y.shape == (1, 2816)
    expected = torch.cat([spread(n) for n in (768, 1024, 5, 3, 700, 900)])
    torch.testing.assert_close(y[0, 1280:], expected, rtol=1e-4, atol=1e-4)
    by_latent = prepared(PooledTextAndSizes(), {})["y"]
    expected = torch.cat([spread(n) for n in (48, 64, 0, 0, 48, 64)])
    torch.testing.assert_close(by_latent[0, 1280:], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("is_negative", "score"), [(False, 6.0), (True, 2.5)])
def test_the_refiner_is_conditioned_on_a_score(is_negative: bool, score: float) -> None:
    y = prepared(PooledTextSizeAndScore(), {}, is_negative=is_negative)["y"]
    assert y.shape == (1, 2560)
    torch.testing.assert_close(y[0, -256:], spread(score), rtol=1e-4, atol=1e-4)


def test_inpainting_models_get_the_mask_and_the_masked_image() -> None:
    conditioning = Inpainting(TextOnly(), FORMAT, blank=(0.1, 0.2, 0.3, 0.4))
    blank = prepared(conditioning, {})["concat"]
    assert torch.equal(blank[0, 0], torch.ones(6, 8))
    assert blank[0, 1:, 0, 0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    mask = torch.zeros(1, 1, 48, 64)
    mask[..., :24, :] = 1
    concat = prepared(conditioning, {"concat_mask": mask, "concat_latent_image": torch.ones(1, 4, 6, 8)})["concat"]
    assert concat.shape == (1, 5, 6, 8)
    assert concat[0, 0, 0].tolist() == [1.0] * 8
    assert concat[0, 0, 5].tolist() == [0.0] * 8
    assert torch.equal(concat[0, 1:], torch.full((4, 6, 8), 0.5))
    assert torch.equal(prepared(conditioning, {"noise_mask": mask})["concat"][0, 0], concat[0, 0])


def test_editing_models_get_the_image_latent_unscaled() -> None:
    latent = torch.randn(1, 4, 6, 8)
    assert torch.equal(prepared(Editing(TextOnly()), {"concat_latent_image": latent})["concat"], latent)
    assert not prepared(Editing(TextOnly()), {})["concat"].any()
