"""The right output for a known signal and noise gives the signal back, for each kind of prediction."""

import pytest
import torch

from safelight.models.sampling.levels import DiscreteLevels, DistilledLevels, FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Consistency, Flow, Noise, Preconditioned, Signal, Velocity

SIGNAL, NOISE = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1)).split(1)
DIFFUSION = Parameterization(Noise(), DiscreteLevels())
TIMESTEP = torch.tensor(400.0)


@pytest.mark.parametrize("sigma", [0.03, 0.5, 14.0])
def test_right_outputs_give_the_signal_back(sigma: float) -> None:
    level = torch.tensor(sigma)
    x = SIGNAL + level * NOISE
    alpha, share = 1 / (1 + level**2).sqrt(), level / (1 + level**2).sqrt()
    velocity = alpha * NOISE - share * SIGNAL
    for prediction, output in [(Noise(), NOISE), (Velocity(), velocity), (Signal(), SIGNAL)]:
        assert torch.allclose(prediction.denoised(x, output, level, TIMESTEP), SIGNAL, atol=1e-5)
    variance = level**2 + 0.25
    skip, scale = 0.25 / variance, level * 0.5 / variance.sqrt()  # Karras et al. 2022, table 1
    output = (SIGNAL - skip * x) / scale
    assert torch.allclose(Preconditioned(0.5).denoised(x, output, level, TIMESTEP), SIGNAL, atol=1e-4)


def test_a_flow_goes_straight_from_noise_to_signal() -> None:
    level = torch.tensor(0.3)
    flow = Flow()
    x = flow.noised(SIGNAL, NOISE, level)
    assert torch.allclose(x, 0.7 * SIGNAL + 0.3 * NOISE)
    assert torch.allclose(flow.denoised(x, NOISE - SIGNAL, level, TIMESTEP), SIGNAL, atol=1e-6)
    assert torch.allclose(flow.final_latent(0.7 * SIGNAL, level), SIGNAL)


def test_a_consistency_model_leaves_the_latent_alone_at_the_start_of_time() -> None:
    consistency = Consistency()
    level = torch.tensor(1.0)
    assert torch.equal(consistency.denoised(SIGNAL, NOISE, level, torch.tensor(0.0)), SIGNAL)
    late = consistency.denoised(SIGNAL, NOISE, level, torch.tensor(999.0))
    assert torch.allclose(late, SIGNAL - NOISE, atol=1e-3)


def test_inputs_have_unit_variance_at_every_level() -> None:
    noise = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(2))
    signal = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(3))
    for sigma in (0.1, 1.0, 10.0):
        scaled = Noise().scaled_input(signal + sigma * noise, torch.tensor(sigma))
        assert float(scaled.std()) == pytest.approx(1.0, abs=0.02)


def test_the_highest_level_starts_in_pure_noise() -> None:
    highest = DIFFUSION.sigma_max
    assert torch.equal(DIFFUSION.noised(torch.zeros(1), torch.ones(1), highest), (1 + highest**2).sqrt()[None])
    lower = highest * 0.99
    assert torch.equal(DIFFUSION.noised(torch.zeros(1), torch.ones(1), lower), lower[None])


def test_half_log_snr_and_its_inverse() -> None:
    sigma = torch.tensor([0.2, 0.5, 0.9])
    flow = Parameterization(Flow(), FlowLevels())
    assert torch.allclose(flow.half_log_snr(sigma), ((1 - sigma) / sigma).log())
    for each in (flow, DIFFUSION, Parameterization(Consistency(), DistilledLevels())):
        assert torch.allclose(each.sigma_of_half_log_snr(each.half_log_snr(sigma)), sigma)
    moved = flow.with_finite_snr(torch.tensor([1.0, 0.5, 0.0]))
    assert moved[0] == pytest.approx(0.9999)
    assert moved[1:].tolist() == [0.5, 0.0]
    falling = torch.tensor([14.0, 1.0, 0.0])
    assert DIFFUSION.with_finite_snr(falling) is falling
