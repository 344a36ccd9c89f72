"""Nodes for transformers, and what nodes for UNets say about them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.against_comfyui import family_cases as cases
from benchmarks.against_comfyui.families import write_weights

from safelight.models.checkpoint import load_diffusion_model
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.network_hooks import NetworkHooks
from safelight.models.sampling.guidance import CfgGuider, SamplingSetup
from safelight.nodes.model.freeu import FreeU, FreeU_V2
from safelight.nodes.model.guidance import PerturbedAttentionGuidance, SelfAttentionGuidance
from safelight.nodes.model.merge import ModelMergeFlux1
from safelight.nodes.model.skip_layers import (
    SkipLayerGuidanceDiT,
    SkipLayerGuidanceDiTSimple,
    SkipLayerGuidanceSD3,
)
from safelight.nodes.model.token_reduction import HyperTile, PatchModelAddDownscale, TomePatchModel
from safelight.nodes.model.unet_only import NotAUNet

CASE = "sd3.5 large"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("transformers")


@pytest.fixture
def model(folder: Path) -> DiffusionModel:
    return load_diffusion_model(write_weights("sd35 large", folder))


def guided(model: DiffusionModel, *, sigma: float, scale: float = 3.0) -> torch.Tensor:
    positive = cases.conditioning(CASE, cases.CASES[CASE], side="positive")
    negative = cases.conditioning(CASE, cases.CASES[CASE], side="negative")
    shape = torch.Size((1, 16, 8, 6))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with model.network.session() as predict, torch.no_grad():
        denoise = CfgGuider(model, positive, negative, scale).denoiser(
            predict, SamplingSetup(shape, torch.device("cpu"))
        )
        return denoise(x, torch.tensor(sigma)).guided


def side(model: DiffusionModel, name: str, *, sigma: float, hooks: NetworkHooks | None = None) -> torch.Tensor:
    """The prediction under one conditioning alone."""
    shape = torch.Size((1, 16, 8, 6))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    ((context, options),) = cases.conditioning(CASE, cases.CASES[CASE], side=name)
    inputs = model.network.prepare_inputs(context, options, shape=shape, device=torch.device("cpu"))
    with model.network.session() as predict, torch.no_grad():
        return x - predict(x, torch.tensor([sigma * 1000]), inputs, hooks=hooks) * sigma


def changed(node: Any, model: DiffusionModel, **inputs: Any) -> DiffusionModel:
    (made,) = node.execute(model=model, **inputs).values
    assert isinstance(made, DiffusionModel)
    return made


def test_skip_layer_guidance_guides_away_from_the_network_without_blocks(model: DiffusionModel) -> None:
    made = changed(SkipLayerGuidanceSD3, model, layers="0", scale=2.0, start_percent=0.0, end_percent=1.0)
    skipped = side(model, "positive", sigma=0.7, hooks=NetworkHooks(skipped=frozenset({("double", 0)})))
    positive = side(model, "positive", sigma=0.7)
    assert not torch.allclose(skipped, positive, atol=1e-3)
    expected = guided(model, sigma=0.7) + (positive - skipped) * 2.0
    torch.testing.assert_close(guided(made, sigma=0.7), expected, rtol=1e-4, atol=1e-4)


def test_skip_layer_guidance_has_a_range_and_rescales(model: DiffusionModel) -> None:
    inputs = {"scale": 2.0, "start_percent": 0.5, "end_percent": 1.0, "double_layers": "0", "single_layers": ""}
    made = changed(SkipLayerGuidanceDiT, model, **inputs, rescaling_scale=1.0)
    assert torch.equal(guided(made, sigma=0.95), guided(model, sigma=0.95))
    late = guided(made, sigma=0.2)
    assert float(late.std()) == pytest.approx(float(side(model, "positive", sigma=0.2).std()), rel=1e-4)
    assert changed(SkipLayerGuidanceDiT, model, **{**inputs, "double_layers": "none"}) is model


def test_the_simple_node_changes_the_negative_prediction(model: DiffusionModel) -> None:
    inputs = {"start_percent": 0.0, "end_percent": 1.0, "double_layers": "0, 1", "single_layers": ""}
    made = changed(SkipLayerGuidanceDiTSimple, model, **inputs)
    hooks = NetworkHooks(skipped=frozenset({("double", 0), ("double", 1)}))
    negative = side(model, "negative", sigma=0.7, hooks=hooks)
    expected = negative + (side(model, "positive", sigma=0.7) - negative) * 3.0
    torch.testing.assert_close(guided(made, sigma=0.7), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("node", "inputs"),
    [
        (FreeU, {"b1": 1.1, "b2": 1.2, "s1": 0.9, "s2": 0.2}),
        (FreeU_V2, {"b1": 1.1, "b2": 1.2, "s1": 0.9, "s2": 0.2}),
        (PerturbedAttentionGuidance, {"scale": 3.0}),
        (SelfAttentionGuidance, {"scale": 0.5, "blur_sigma": 2.0}),
        (HyperTile, {"tile_size": 256, "swap_size": 2, "max_depth": 0, "scale_depth": False}),
        (TomePatchModel, {"ratio": 0.3}),
        (
            PatchModelAddDownscale,
            {
                "block_number": 3,
                "downscale_factor": 2.0,
                "start_percent": 0.0,
                "end_percent": 0.35,
                "downscale_after_skip": True,
                "downscale_method": "bicubic",
                "upscale_method": "bicubic",
            },
        ),
    ],
)
def test_nodes_for_unets_say_so(node: Any, inputs: dict[str, Any], model: DiffusionModel) -> None:
    with pytest.raises(NotAUNet, match=r"works with UNets .*, not with 'sd3'"):
        node.execute(model=model, **inputs)


def test_flux_is_merged_by_blocks(folder: Path) -> None:
    one = load_diffusion_model(write_weights("flux", folder))
    names = [name for name in ModelMergeFlux1.node_schema().inputs if name.id not in ("model1", "model2")]
    ratios = {name.id: 0.25 if name.id == "double_blocks.1." else 1.0 for name in names}
    (merged,) = ModelMergeFlux1.execute(one, one, **ratios).values
    assert isinstance(merged, DiffusionModel)
    (layer,) = merged.network.layers
    assert len(ratios) == 5 + 19 + 38 + 1
    assert layer.patches["double_blocks.1.img_mlp.0.bias"].own == 0.25  # type: ignore[attr-defined]
    assert layer.patches["double_blocks.0.img_mlp.0.bias"].own == 1.0  # type: ignore[attr-defined]
