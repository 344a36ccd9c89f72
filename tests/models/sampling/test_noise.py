"""Noise within steps: from seeds, and along one Brownian path."""

import pytest
import torch

from safelight.models.sampling.noise import brownian, generator_after_first_noise, independent

LIKE = torch.zeros(1, 4, 64, 64)
ONE, TWO, FOUR = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(4.0)
SIGMAS = torch.tensor([4.0, 2.0, 1.0, 0.0])


def test_the_first_draw_is_that_of_the_next_seed() -> None:
    expected = torch.randn(LIKE.shape, generator=torch.Generator().manual_seed(6))
    assert torch.equal(independent(LIKE, 5)(TWO, ONE), expected)
    independent(LIKE, 2**64 - 1)  # the largest seed has a next one


def test_the_first_generator_goes_on() -> None:
    generator = torch.Generator().manual_seed(5)
    torch.randn(LIKE.shape, generator=generator)
    expected = torch.randn(3, generator=generator)
    assert torch.equal(torch.randn(3, generator=generator_after_first_noise(LIKE, 5, torch.device("cpu"))), expected)


def test_brownian_differences_have_unit_variance_and_add_up() -> None:
    noise = brownian(LIKE, 7, SIGMAS)
    whole, first, second = noise(FOUR, ONE), noise(FOUR, TWO), noise(TWO, ONE)
    assert float(first.std()) == pytest.approx(1.0, abs=0.03)
    assert torch.allclose(whole * 3**0.5, first * 2**0.5 + second, atol=1e-5)
    assert abs(float((first * second).mean())) < 0.03
    assert torch.allclose(noise(ONE, FOUR), -whole)


def test_brownian_noise_depends_only_on_the_seed() -> None:
    again = brownian(LIKE, 7, SIGMAS)(FOUR, TWO)
    assert torch.equal(brownian(LIKE, 7, SIGMAS)(FOUR, TWO), again)
    assert not torch.equal(brownian(LIKE, 8, SIGMAS)(FOUR, TWO), again)
