"""Complete runs: where they start, what a mask keeps, and what each step reports."""

import pytest
import torch
from tests.models.sampling.networks import Plain, model_of, saying

from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.guidance import CfgGuider, GuidanceOptions, PositiveGuider
from safelight.models.sampling.sample import ChosenSampler, LatentMismatch, Sampled, fitting, sample
from safelight.models.sampling.samplers.table import SAMPLERS

SIGMAS = torch.tensor([8.0, 2.0, 0.5, 0.0])


def run(
    guider: PositiveGuider | CfgGuider,
    *,
    latent: torch.Tensor | None = None,
    noise: torch.Tensor | None = None,
    sigmas: torch.Tensor = SIGMAS,
    sampler: str = "euler",
    mask: torch.Tensor | None = None,
    steps: list[tuple[int, int]] | None = None,
) -> Sampled:
    latent = fitting(torch.zeros(1, 4, 6, 8) if latent is None else latent, guider.model.latent_format)
    return sample(
        guider,
        ChosenSampler(SAMPLERS[sampler], fresh_noise_outside=sampler == "ddim"),
        sigmas,
        latent=latent,
        noise=torch.ones_like(latent) if noise is None else noise,
        seed=3,
        noise_mask=mask,
        on_step=lambda step, count, denoised: steps.append((step, count)) if steps is not None else None,
    )


def test_ends_at_the_prediction_in_the_scale_of_latents() -> None:
    model = model_of(latent_format=LatentFormat(scale=0.5, shift=1.0))
    steps: list[tuple[int, int]] = []
    made = run(PositiveGuider(model, saying(3.0)), steps=steps)
    assert torch.equal(made.samples, torch.full((1, 4, 6, 8), 3.0 / 0.5 + 1.0))
    assert torch.equal(made.denoised, made.samples)
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_noise_left_over_stays_in_the_samples() -> None:
    made = run(PositiveGuider(model_of(), saying(3.0)), sigmas=SIGMAS[:3])
    expected = 3.0 + 0.5 / 8.0 * (8.0 - 3.0)  # Euler's steps shrink the distance to the prediction by the levels
    assert torch.allclose(made.samples, torch.full((1, 4, 6, 8), expected))
    assert torch.equal(made.denoised, torch.full((1, 4, 6, 8), 3.0))


def test_no_steps_give_the_latent_back() -> None:
    latent = torch.randn(1, 4, 6, 8)
    assert torch.equal(run(PositiveGuider(model_of(), saying(1.0)), latent=latent, sigmas=SIGMAS[:0]).samples, latent)


@pytest.mark.parametrize("sampler", ["euler", "ddim", "dpmpp_2m", "euler_ancestral"])
def test_a_mask_keeps_the_rest(sampler: str) -> None:
    latent, mask = torch.randn(1, 4, 6, 8), torch.zeros(1, 48, 64)
    mask[:, :, 32:] = 1
    made = run(PositiveGuider(model_of(), saying(3.0)), latent=latent, mask=mask, sampler=sampler).samples
    assert torch.equal(made[..., :3], latent[..., :3])
    assert torch.allclose(made[..., 5:], torch.full((1, 4, 6, 3), 3.0))


def test_a_node_may_change_the_mask_at_each_level() -> None:
    def late(mask: torch.Tensor, sigma: torch.Tensor, sigmas: torch.Tensor, model: object) -> torch.Tensor:
        return torch.ones_like(mask) if sigma < 1 else mask

    model = model_of(options=GuidanceOptions(mask=late))
    latent, mask = torch.randn(1, 4, 6, 8), torch.zeros(1, 6, 8)
    made = run(PositiveGuider(model, saying(3.0)), latent=latent, mask=mask).samples
    assert torch.allclose(made, torch.full_like(made, 3.0))


def test_an_empty_latent_fits_every_model() -> None:
    model = model_of(latent_format=LatentFormat(channels=16))
    made = run(PositiveGuider(model, saying(1.0)), latent=torch.zeros(2, 4, 6, 8))
    assert made.samples.shape == (2, 16, 6, 8)
    with pytest.raises(LatentMismatch, match="the latent has 4 channels, but the model needs 16"):
        run(PositiveGuider(model, saying(1.0)), latent=torch.ones(2, 4, 6, 8))
    with pytest.raises(LatentMismatch, match="3 dimensions"):
        run(PositiveGuider(model, saying(1.0)), latent=torch.ones(2, 4, 3, 6, 8))


def test_what_one_sees_does_not_depend_on_the_batch() -> None:
    noise = torch.randn(3, 4, 6, 8, generator=torch.Generator().manual_seed(1))
    guider = CfgGuider(model_of(Plain()), saying(3.0), saying(1.0), 2.0)
    whole = run(guider, latent=torch.zeros(3, 4, 6, 8), noise=noise).samples
    alone = run(guider, latent=torch.zeros(1, 4, 6, 8), noise=noise[1:2]).samples
    assert torch.equal(whole[1:2], alone)
