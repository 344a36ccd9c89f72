"""Nodes that change guidance, on a network whose results can be computed by hand and on a small UNet."""

from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.sampling.networks import model_of, saying
from tests.models.unets import stored, unet_of

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.latent_format import LatentFormat
from safelight.models.network_hooks import BlockIndex
from safelight.models.sampling.guidance import CfgGuider, Guider, SamplingSetup, options_of
from safelight.models.sampling.levels import DiscreteLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Noise
from safelight.models.unet.unet_module import Heads, UNet
from safelight.models.weights import weight_file
from safelight.nodes.model.freeu import FreeU, FreeU_V2
from safelight.nodes.model.guidance import (
    CFGNorm,
    CFGZeroStar,
    DifferentialDiffusion,
    PerpNegGuider,
    PerturbedAttentionGuidance,
    RescaleCFG,
    SelfAttentionGuidance,
)

SHAPE = torch.Size((1, 4, 8, 8))
X = torch.randn(SHAPE, generator=torch.Generator().manual_seed(4))


def guided(guider: Guider, *, sigma: float = 2.0) -> torch.Tensor:
    with guider.model.network.session() as predict, torch.no_grad():
        denoise = guider.denoiser(predict, SamplingSetup(SHAPE, torch.device("cpu")))
        return denoise(X, torch.tensor(sigma)).guided


def changed(node: Any, model: DiffusionModel, *options: Any) -> DiffusionModel:
    (made,) = node.execute(model, *options).values
    return made  # type: ignore[no-any-return]


def hand_guided(
    model: DiffusionModel, *, positive: float = 3.0, negative: float = 1.0, scale: float = 4.0
) -> torch.Tensor:
    return guided(CfgGuider(model, saying(positive), saying(negative), scale))


def test_rescale_cfg_brings_back_the_contrast_of_the_positive() -> None:
    """By the paper's formula, in velocities: fully rescaled, the result has the positive one's standard deviation."""
    made = hand_guided(changed(RescaleCFG, model_of(), 1.0))
    x, sigma, root = X / 5.0, 2.0, 5.0**0.5

    def velocity(denoised: torch.Tensor | float) -> torch.Tensor:
        return (x - denoised) * root / sigma

    assert float(velocity(made).std()) == pytest.approx(float(velocity(3.0).std()), rel=1e-4)
    plain = hand_guided(changed(RescaleCFG, model_of(), 0.0))
    torch.testing.assert_close(plain, torch.full(SHAPE, 1 + 4 * 2.0))


def test_cfg_norm_is_no_stronger_than_the_positive() -> None:
    assert float(hand_guided(changed(CFGNorm, model_of(), 1.0)).amax()) == pytest.approx(3.0, rel=1e-5)
    assert float(hand_guided(changed(CFGNorm, model_of(), 0.5)).amax()) == pytest.approx(1.5, rel=1e-5)
    weak = hand_guided(changed(CFGNorm, model_of(), 1.0), positive=1.0, negative=3.0, scale=1.5)
    assert float(weak.amax()) == pytest.approx(0.0, abs=1e-6)


def test_cfg_zero_star_scales_the_negative() -> None:
    made = hand_guided(changed(CFGZeroStar, model_of()))
    to, away = X - 3.0, X - 1.0
    best = (to * away).sum() / (away * away).sum()
    expected = (1 + 4 * 2.0) + 1.0 * (best - 1) + 4 * 1.0 * (1 - best)
    torch.testing.assert_close(made, torch.full(SHAPE, float(expected)), rtol=1e-4, atol=1e-4)


def test_perp_neg_guider() -> None:
    (guider,) = PerpNegGuider.execute(model_of(), saying(5.0), saying(3.0), saying(1.0), 2.0, 1.0).values
    torch.testing.assert_close(guided(guider), torch.full(SHAPE, 9.0))


def test_differential_diffusion_paints_bright_places_early() -> None:
    model = changed(DifferentialDiffusion, model_of(), 1.0)
    hook = options_of(model).mask
    assert hook is not None
    mask = torch.tensor([0.2, 0.6, 1.0])
    sigmas = DiscreteLevels().sigma(torch.tensor([999.0, 500.0, 0.0]))

    def at(index: int) -> list[float]:
        return [round(value, 4) for value in hook(mask, sigmas[index], sigmas, model).tolist()]

    assert at(0) == [0.0, 0.0, 1.0]
    assert at(1) == [0.0, 1.0, 1.0]
    assert at(2) == [1.0, 1.0, 1.0]
    half = options_of(changed(DifferentialDiffusion, model_of(), 0.5)).mask
    assert half is not None
    assert half(mask, sigmas[0], sigmas, model).tolist() == pytest.approx([0.1, 0.3, 1.0])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    torch.manual_seed(0)
    shape = unet_of(channels=32, multipliers=(1, 2, 4), depths=(0, 1, 1), context=3)
    path = tmp_path_factory.mktemp("unet") / "unet.safetensors"
    save_file(UNet(shape, heads=Heads(count=2)).state_dict(), path)
    network = stored(weight_file(path).weights(), shape, Heads(count=2))
    return DiffusionModel(network, Parameterization(Noise(), DiscreteLevels()), LatentFormat())


def both_ways(model: DiffusionModel) -> tuple[torch.Tensor, torch.Tensor]:
    """The guided prediction, and the positive one alone."""
    positive = [[torch.ones(1, 7, 3), {}]]
    negative = [[torch.zeros(1, 7, 3), {}]]
    return guided(CfgGuider(model, positive, negative, 4.0)), guided(CfgGuider(model, positive, negative, 1.0))


def test_perturbed_attention_guides_away_from_inattention(real: DiffusionModel) -> None:
    plain, positive = both_ways(real)
    strong, alone = both_ways(changed(PerturbedAttentionGuidance, real, 3.0))
    weak, _ = both_ways(changed(PerturbedAttentionGuidance, real, 1.5))
    assert not torch.allclose(strong, plain)
    torch.testing.assert_close(strong - plain, 2 * (weak - plain), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(alone - positive, strong - plain, rtol=1e-3, atol=1e-4)
    assert torch.equal(both_ways(changed(PerturbedAttentionGuidance, real, 0.0))[0], plain)


def test_self_attention_guidance(real: DiffusionModel) -> None:
    plain, _ = both_ways(real)
    strong, _ = both_ways(changed(SelfAttentionGuidance, real, 1.0, 2.0))
    weak, _ = both_ways(changed(SelfAttentionGuidance, real, 0.5, 2.0))
    assert not torch.allclose(strong, plain)
    torch.testing.assert_close(strong - plain, 2 * (weak - plain), rtol=1e-3, atol=1e-4)


def test_free_u_at_ones_changes_nothing(real: DiffusionModel) -> None:
    plain, _ = both_ways(real)
    for node in (FreeU, FreeU_V2):
        same, _ = both_ways(changed(node, real, 1.0, 1.0, 1.0, 1.0))
        torch.testing.assert_close(same, plain, rtol=1e-3, atol=1e-3)
        other, _ = both_ways(changed(node, real, 1.3, 1.4, 0.9, 0.2))
        assert not torch.allclose(other, plain, rtol=1e-2, atol=1e-2)


def test_free_u_weighs_the_backbone_and_low_frequencies(real: DiffusionModel) -> None:
    model = changed(FreeU, real, 2.0, 3.0, 0.5, 0.25)
    [hook] = options_of(model).hooks.skip
    constant = torch.ones(1, 6, 8, 8)  # only the lowest frequency
    for channels, backbone, low in ((128, 2.0, 0.5), (64, 3.0, 0.25)):
        hidden, skip = hook(torch.ones(1, channels, 8, 8), constant, BlockIndex("output", 0))
        half = channels // 2
        assert (float(hidden[0, 0, 0, 0]), float(hidden[0, half, 0, 0])) == (backbone, 1.0)
        torch.testing.assert_close(skip, constant * low)
    hidden, skip = hook(torch.ones(1, 32, 8, 8), constant, BlockIndex("output", 8))
    assert torch.equal(skip, constant)
    assert torch.equal(hidden, torch.ones(1, 32, 8, 8))


def test_changes_add_up(real: DiffusionModel) -> None:
    model = changed(FreeU, changed(PerturbedAttentionGuidance, changed(CFGNorm, real, 1.0), 1.0), 1.1, 1.2, 0.9, 0.2)
    options = options_of(model)
    assert (len(options.after), len(options.hooks.skip)) == (2, 1)
    assert options_of(real).after == ()
