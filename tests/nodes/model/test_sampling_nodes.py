"""Nodes that set how a model was trained: which noise levels, and what it predicts."""

import math
from typing import Any

import pytest
import torch
from tests.models.sampling.networks import model_of

from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Consistency, Flow, Noise, Preconditioned, Velocity
from safelight.nodes.model.sampling import (
    ModelSamplingAuraFlow,
    ModelSamplingContinuousEDM,
    ModelSamplingContinuousV,
    ModelSamplingDiscrete,
    ModelSamplingFlux,
    ModelSamplingSD3,
    UnknownSampling,
)


def chosen(node: Any, *options: Any) -> Parameterization:
    (model,) = node.execute(model_of(), *options).values
    return model.parameterization  # type: ignore[no-any-return]


def test_discrete() -> None:
    eps = chosen(ModelSamplingDiscrete, "eps", False)
    assert isinstance(eps.prediction, Noise)
    assert float(eps.sigma_max) == pytest.approx(14.6146, rel=1e-4)
    velocity = chosen(ModelSamplingDiscrete, "v_prediction", True)
    assert isinstance(velocity.prediction, Velocity)
    assert float(velocity.sigma_max) > 1000
    distilled = chosen(ModelSamplingDiscrete, "lcm", False)
    assert isinstance(distilled.prediction, Consistency)
    assert len(distilled.levels.sigmas) == 50


def test_img_to_img_does_not_scale_the_latent() -> None:
    x = torch.randn(3)
    assert torch.equal(
        chosen(ModelSamplingDiscrete, "img_to_img", False).prediction.scaled_input(x, torch.tensor(5.0)), x
    )
    scaled = chosen(ModelSamplingDiscrete, "x0", False).prediction.scaled_input(x, torch.tensor(3.0))
    torch.testing.assert_close(scaled, x / math.sqrt(10))


def test_flows_are_shifted() -> None:
    """The level halfway through sampling, by the formula of the SD3 paper: s t / (1 + (s - 1) t)."""
    sd3 = chosen(ModelSamplingSD3, 3.0)
    assert isinstance(sd3.prediction, Flow)
    assert float(sd3.levels.sigma(torch.tensor(500.0))) == pytest.approx(0.75)
    assert float(sd3.levels.timestep(torch.tensor(0.75))) == 750.0
    aura = chosen(ModelSamplingAuraFlow, 3.0)
    assert float(aura.levels.sigma(torch.tensor(0.5))) == pytest.approx(0.75)
    assert float(aura.levels.timestep(torch.tensor(0.75))) == 0.75


@pytest.mark.parametrize(("side", "log_shift"), [(1024, 1.15), (256, 0.5), (640, 0.5 + 0.65 * (1600 - 256) / 3840)])
def test_flux_shifts_by_the_size(side: int, log_shift: float) -> None:
    flux = chosen(ModelSamplingFlux, 1.15, 0.5, side, side)
    assert float(flux.levels.sigma(torch.tensor(0.5))) == pytest.approx(math.exp(log_shift) / (math.exp(log_shift) + 1))


def test_continuous() -> None:
    edm = chosen(ModelSamplingContinuousEDM, "edm", 80.0, 0.002)
    assert edm.prediction == Preconditioned(0.5)
    assert float(edm.sigma_max) == pytest.approx(80.0)
    assert float(edm.levels.timestep(torch.tensor(math.e))) == pytest.approx(0.25)
    angle = chosen(ModelSamplingContinuousV, "v_prediction", 500.0, 0.03)
    assert float(angle.levels.timestep(torch.tensor(1.0))) == pytest.approx(0.5)
    with pytest.raises(UnknownSampling, match="'cosmos_rflow' is not supported yet"):
        chosen(ModelSamplingContinuousEDM, "cosmos_rflow", 80.0, 0.002)
