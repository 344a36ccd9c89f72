"""How conditionings become one prediction: batches, areas, masks, ranges, guidance."""

from typing import Any

import pytest
import torch
from tests.models.sampling.networks import Plain, model_of, saying

from safelight.models.sampling.entries import Area, build_entries
from safelight.models.sampling.guidance import (
    CfgGuider,
    DualCfgGuider,
    Guidance,
    GuidanceOptions,
    Guider,
    PerpNegGuider,
    PositiveGuider,
    SamplingSetup,
)
from safelight.models.sampling.samplers.sampling_context import Denoised

SHAPE = torch.Size((2, 4, 16, 24))


def denoised(guider: Guider, *, sigma: float = 5.0, needs_negative: bool = False) -> Denoised:
    with guider.model.network.session() as predict:
        denoise = guider.denoiser(predict, SamplingSetup(SHAPE, torch.device("cpu")))
        return denoise(torch.zeros(SHAPE), torch.tensor(sigma), needs_negative=needs_negative)


def seen(guider: Guider, **keywords: Any) -> float:
    """The uniform value of the prediction."""
    guided = denoised(guider, **keywords).guided
    assert guided.amax() == guided.amin()
    return float(guided.amax())


def test_guidance_goes_beyond_the_positive_conditions() -> None:
    network = Plain()
    assert seen(CfgGuider(model_of(network), saying(3.0), saying(1.0), 4.0)) == 1 + 4 * 2
    assert network.asked == [(4, 4, 16, 24)]  # both sides in one batch


def test_a_scale_of_one_needs_no_negative() -> None:
    network = Plain()
    guider = CfgGuider(model_of(network), saying(3.0), saying(1.0), 1.0)
    assert seen(guider) == 3.0
    assert network.asked == [(2, 4, 16, 24)]
    assert denoised(guider, needs_negative=True).negative.amax() == 1.0


def test_one_conditioning_alone() -> None:
    assert seen(PositiveGuider(model_of(), saying(3.0))) == 3.0


def test_prompts_of_other_lengths_go_one_by_one() -> None:
    network = Plain()
    assert seen(CfgGuider(model_of(network), saying(3.0, tokens=14), saying(1.0), 2.0)) == 5.0
    assert network.asked == [(2, 4, 16, 24)] * 2


def test_two_guidances() -> None:
    sides = (model_of(), saying(5.0), saying(3.0), saying(1.0))
    assert seen(DualCfgGuider(*sides, 2.0, 4.0)) == (1 + 4 * 2) + 2 * (5 - 3)
    assert seen(DualCfgGuider(*sides, 2.0, 4.0, is_nested=True)) == 1 + 4 * ((3 + 2 * 2) - 1)


def test_perp_neg_keeps_the_positive_part() -> None:
    """The negative prediction is parallel to the positive one: there is nothing to avoid."""
    guider = PerpNegGuider(model_of(), saying(5.0), saying(3.0), saying(1.0), 2.0, 10.0)
    assert seen(guider) == pytest.approx(1 + 2 * 4)


def test_combined_conditionings_are_averaged_by_strength() -> None:
    both = saying(3.0, strength=2.0) + saying(6.0)
    assert seen(PositiveGuider(model_of(), both)) == pytest.approx((2 * 3 + 6) / 3)


def test_an_area_applies_inside_its_bounds() -> None:
    both = saying(1.0) + saying(5.0, area=(8, 12, 0, 0), strength=1.0)
    guided = denoised(PositiveGuider(model_of(), both)).guided
    assert guided[0, 0, 0, 0] == 3.0  # both, with equal weight
    assert guided[0, 0, 12, 20] == 1.0
    assert 1.0 < guided[0, 0, 7, 0] < 3.0  # fading towards its edge


def test_an_area_can_be_given_as_fractions() -> None:
    [entry] = made(saying(1.0, area=("percentage", 0.5, 0.5, 0.25, 0.5)))
    assert entry.area == Area((8, 12), (4, 12))


def made(conditioning: list[Any]) -> list[Any]:
    model = model_of()
    return build_entries(
        conditioning, model.network, model.parameterization.levels, shape=SHAPE, device=torch.device("cpu")
    )


def test_an_area_beyond_the_border_is_cropped() -> None:
    [entry] = made(saying(1.0, area=(99, 99, 10, 20)))
    assert entry.area.within(SHAPE) == Area((6, 4), (10, 20))


def test_the_network_gets_only_the_area() -> None:
    network = Plain()
    denoised(CfgGuider(model_of(network), saying(5.0, area=(8, 12, 0, 0)), saying(1.0), 2.0))
    # The positive area, and the same area under the negative; the negative of the whole.
    assert sorted(network.asked) == [(2, 4, 16, 24), (4, 4, 8, 12)]


def test_a_mask_applies_where_it_is_bright() -> None:
    mask = torch.zeros(1, 128, 192)
    mask[:, :, 96:] = 1
    both = saying(1.0) + saying(5.0, mask=mask, mask_strength=1.0)
    guided = denoised(PositiveGuider(model_of(), both)).guided
    assert guided[0, 0, 5, 2] == 1.0
    assert guided[0, 0, 5, 20] == 3.0


def test_a_mask_can_bound_the_area() -> None:
    mask = torch.zeros(1, 16, 24)
    mask[:, 2:12, 4:6] = 1
    [entry] = made(saying(1.0, mask=mask, set_area_to_bounds=True))
    assert entry.area == Area((10, 8), (2, 4))


def test_a_small_mask_near_a_border_is_cut_there_and_not_moved() -> None:
    mask = torch.zeros(1, 16, 24)
    mask[:, 13:15, 20:23] = 1
    [entry] = made(saying(1.0, mask=mask, set_area_to_bounds=True))
    assert entry.area.within(SHAPE) == Area((3, 4), (13, 20))


def test_an_area_fades_over_a_quarter_of_its_side() -> None:
    [entry] = made(saying(1.0, area=(9, 4, 3, 8)))
    weights = entry.weights(SHAPE)[0, 0]
    assert weights[:, 1].tolist() == [0.5, 1, 1, 1, 1, 1, 1, 1, 0.5]
    assert weights[4].tolist() == [1, 1, 1, 1]  # fading over one cell has no effect


def test_a_default_conditioning_applies_where_no_other_does() -> None:
    mask = torch.zeros(1, 16, 24)
    mask[:, :, :12] = 0.25
    guider = PositiveGuider(model_of(), saying(5.0, mask=mask) + saying(1.0, default=True, strength=9.0))
    guided = denoised(guider).guided
    assert guided[0, 0, 4, 4] == 0.25 * 5 + 0.75 * 1
    assert guided[0, 0, 4, 20] == 1.0


def test_a_range_limits_the_steps_of_a_conditioning() -> None:
    both = saying(1.0, start_percent=0.0, end_percent=0.5) + saying(5.0, start_percent=0.5, end_percent=1.0)
    guider = PositiveGuider(model_of(), both)
    assert seen(guider, sigma=14.0) == 1.0
    assert seen(guider, sigma=0.1) == 5.0


def test_nodes_can_replace_and_change_guidance() -> None:
    def mean(guidance: Guidance) -> torch.Tensor:
        return (guidance.positive + guidance.negative) / 2

    def plus(guidance: Guidance, guided: torch.Tensor) -> torch.Tensor:
        return guided + guidance.scale

    options = GuidanceOptions(combine=mean, after=(plus, plus))
    assert seen(CfgGuider(model_of(options=options), saying(3.0), saying(1.0), 4.0)) == 2 + 8


def test_images_concatenated_to_the_latent_are_cropped_to_areas() -> None:
    concat = torch.zeros(1, 4, 16, 24)
    concat[..., 12:] = 8.0
    guided = denoised(PositiveGuider(model_of(), saying(1.0, concat=concat, area=(16, 12, 0, 12)))).guided
    assert guided[0, 0, 4, 20] == 9.0
