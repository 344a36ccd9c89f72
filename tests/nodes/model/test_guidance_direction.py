"""Nodes that change the guidance direction: on uniform predictions, computed by hand."""

import pytest
import torch
from tests.models.sampling.networks import model_of
from tests.nodes.model.test_guidance_nodes import SHAPE, X, changed, hand_guided

from safelight.models.sampling.guidance import Guidance, combined, options_of
from safelight.nodes.model.guidance_direction import (
    APG,
    TCFG,
    EpsilonScaling,
    FreSca,
    LatentApplyOperationCFG,
    Mahiro,
    TemporalScoreRescaling,
    VideoLinearCFGGuidance,
    VideoTriangleCFGGuidance,
)

GENERATOR = torch.Generator().manual_seed(7)
POSITIVE, NEGATIVE = (torch.randn(2, 4, 8, 8, generator=GENERATOR) for _ in range(2))


def together(node: type, *options: object, sigma: float = 2.0, scale: float = 3.0) -> torch.Tensor:
    model = changed(node, model_of(), *options)
    x = torch.zeros_like(POSITIVE)
    again = None
    return combined(Guidance(x, torch.tensor(sigma), POSITIVE, NEGATIVE, scale, model, again)).guided  # type: ignore[arg-type]


PLAIN = NEGATIVE + 3.0 * (POSITIVE - NEGATIVE)


def test_epsilon_scaling() -> None:
    plain = torch.full(SHAPE, 1 + 4 * 2.0)
    made = hand_guided(changed(EpsilonScaling, model_of(), 1.25))
    torch.testing.assert_close(made, X - (X - plain) / 1.25)


def test_temporal_score_rescaling() -> None:
    """At the noise level 2, with a variance of 4: (4 + 4) / (8 + 4) of the way from the noisy latent."""
    plain = together(EpsilonScaling, 1.0)
    torch.testing.assert_close(together(TemporalScoreRescaling, 0.5, 2.0), plain * 8 / 12)
    torch.testing.assert_close(together(TemporalScoreRescaling, 1.0, 2.0), plain)
    assert together(TemporalScoreRescaling, 0.5, 2.0, sigma=0.0).equal(plain)


def test_tangential_damping_keeps_the_parallel_part() -> None:
    """Parallel predictions are kept; of perpendicular ones with different lengths the shorter one is removed."""
    model = changed(TCFG, model_of())
    positive, negative = torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)
    positive[..., 0], negative[..., 0] = 3.0, 1.0
    ask = Guidance(torch.zeros_like(positive), torch.tensor(1.0), positive, negative, 2.0, model, None)  # type: ignore[arg-type]
    assert combined(ask).guided.flatten().tolist() == pytest.approx([5.0, 0.0])
    negative = torch.zeros(1, 1, 1, 2)
    negative[..., 1] = 1.0
    ask = Guidance(torch.zeros_like(positive), torch.tensor(1.0), positive, negative, 2.0, model, None)  # type: ignore[arg-type]
    assert combined(ask).guided.flatten().tolist() == pytest.approx([6.0, 0.0], abs=1e-6)


def test_projected_guidance() -> None:
    """With the whole parallel part and no limit: the positive prediction plus three times the difference."""
    torch.testing.assert_close(together(APG, 1.0, 0.0, 0.0), POSITIVE + 3.0 * (POSITIVE - NEGATIVE))
    across = (together(APG, 0.0, 0.0, 0.0) - POSITIVE) / 3.0
    assert torch.allclose((across * POSITIVE).sum((1, 2, 3)), torch.zeros(2), atol=1e-3)
    short = (together(APG, 1.0, 2.0, 0.0) - POSITIVE) / 3.0
    torch.testing.assert_close(torch.linalg.vector_norm(short, dim=(1, 2, 3)), torch.full((2,), 2.0))


def test_projected_guidance_has_momentum_within_a_run() -> None:
    model = changed(APG, model_of(), 1.0, 0.0, -0.5)

    def at(sigma: float) -> torch.Tensor:
        x = torch.zeros_like(POSITIVE)
        return combined(Guidance(x, torch.tensor(sigma), POSITIVE, NEGATIVE, 3.0, model, None)).guided  # type: ignore[arg-type]

    way = POSITIVE - NEGATIVE
    torch.testing.assert_close(at(9.0), POSITIVE + 3.0 * way)
    torch.testing.assert_close(at(5.0), POSITIVE + 3.0 * 0.5 * way)
    torch.testing.assert_close(at(9.0), POSITIVE + 3.0 * way)


def test_frequencies_of_guidance() -> None:
    torch.testing.assert_close(together(FreSca, 1.0, 1.0, 2), PLAIN)
    torch.testing.assert_close(together(FreSca, 2.0, 0.0, 100), NEGATIVE + 6.0 * (POSITIVE - NEGATIVE))
    model = changed(FreSca, model_of(), 2.0, 7.0, 1)
    flat = hand_guided(model)  # only the lowest frequency
    torch.testing.assert_close(flat, torch.full(SHAPE, 1 + 4 * 2.0 * 2.0))


def test_mahiro() -> None:
    """Predictions that agree in every sign have the highest similarity: the guided one is used in full."""
    torch.testing.assert_close(hand_guided(changed(Mahiro, model_of())), torch.full(SHAPE, 9.0))
    opposed = hand_guided(changed(Mahiro, model_of()), positive=3.0, negative=-1.0)
    torch.testing.assert_close(opposed, torch.full(SHAPE, 12.0))


def test_an_operation_on_guidance() -> None:
    made = together(LatentApplyOperationCFG, lambda latent, **rest: 2 * latent)
    torch.testing.assert_close(made, NEGATIVE + 6.0 * (POSITIVE - NEGATIVE))


@pytest.mark.parametrize(
    ("node", "scales"),
    [(VideoLinearCFGGuidance, [1, 3, 5]), (VideoTriangleCFGGuidance, [1, 5, 1])],
)
def test_frames_are_guided_apart(node: type, scales: list[float]) -> None:
    model = changed(node, model_of(), 1.0)
    frames = torch.ones(3, 1, 1, 1)
    ask = Guidance(frames, torch.tensor(1.0), 2 * frames, frames, 5.0, model, None)  # type: ignore[arg-type]
    assert combined(ask).guided.flatten().tolist() == [1 + scale for scale in scales]


def test_without_guidance_nothing_is_changed() -> None:
    model = changed(FreSca, model_of(), 9.0, 9.0, 2)
    assert len(options_of(model).before) == 1
    torch.testing.assert_close(hand_guided(model, scale=1.0), torch.full(SHAPE, 3.0))
