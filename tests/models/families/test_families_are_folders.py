"""A family that only this test knows: samplers, masks and areas work with its video latents and its own inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.unets import SD1, file_of, shapes_of
from torch import nn

from safelight.models.families.family import Family, NetworkFile, Variant
from safelight.models.families.registry import detect, families
from safelight.models.inputs import SPATIAL, Inputs
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.guidance import CfgGuider
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.sampling.sample import ChosenSampler, fitting, sample
from safelight.models.sampling.samplers.table import SAMPLERS
from safelight.models.text.recipe import TextRecipe
from safelight.models.weight_layers import WeightPart
from safelight.models.weights import UnknownWeights, weight_file

FORMAT = LatentFormat(channels=2, frames=4, means=(0.5, -0.5), deviations=(2.0, 4.0))


@dataclass(frozen=True, eq=False)
class FilmInputs(Inputs):
    text: torch.Tensor
    references: tuple[torch.Tensor, ...] = ()
    frames_per_second: float = 24.0
    first_frame: torch.Tensor | None = None
    picture: torch.Tensor | None = field(default=None, metadata=SPATIAL)


class Film(nn.Module):
    """Its noise-free latent is the mean of the text, plus the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.film = nn.Parameter(torch.empty(3))

    def forward(self, x: torch.Tensor, timestep: torch.Tensor, inputs: FilmInputs, **more: Any) -> torch.Tensor:
        wanted = inputs.text.mean(dim=(1, 2)).reshape(-1, 1, 1, 1, 1).expand(x.shape)
        if inputs.picture is not None:
            wanted = wanted + inputs.picture
        return (x - wanted) / timestep.reshape(-1, 1, 1, 1, 1) * self.film.sum()


@dataclass(frozen=True)
class FilmArchitecture:
    def build(self) -> Film:
        return Film()


@dataclass(frozen=True)
class FilmConditioning:
    def prepare(self, context: torch.Tensor, options: Mapping[str, Any], **more: Any) -> FilmInputs:
        return FilmInputs(context, picture=options.get("picture"))


def film_names(shapes: Mapping[str, torch.Size]) -> dict[str, WeightPart]:
    return {}


def detect_film(found: NetworkFile) -> Variant | None:
    if "film" not in found.shapes:
        return None
    parameterization = Parameterization(Flow(), FlowLevels(3.0, multiplier=1.0))
    return Variant("film", parameterization, FORMAT, FilmArchitecture(), FilmConditioning(), film_names, TextRecipe({}))


FILM = Family("film", "Film", detect_film)


@pytest.fixture
def variant(tmp_path: Path) -> Any:
    save_file({"film": torch.tensor([0.5, 0.25, 0.25])}, tmp_path / "film.safetensors")
    file = weight_file(tmp_path / "film.safetensors")
    return detect(file, file.weights(), among=[*families(), FILM])


def sampled(variant: Any, positive: list[Any], negative: list[Any]) -> torch.Tensor:
    model = variant.variant.model(variant.weights)
    latent = fitting(torch.zeros(2, 4, 10, 12), model.latent_format)
    assert latent.shape == (2, 2, 1, 10, 12)
    latent = latent.expand(-1, -1, 3, -1, -1).clone()
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
    guider = CfgGuider(model, positive, negative, 2.0)
    sigmas = torch.tensor([1.0, 0.7, 0.2, 0.0])
    sampler = ChosenSampler(SAMPLERS["euler"])
    made = sample(guider, sampler, sigmas, latent=latent, noise=noise, seed=1, on_step=lambda *of_step: None)
    return made.samples


def said(value: float, **options: Any) -> list[Any]:
    return [torch.full((1, 5, 3), value), options]


def in_latent(value: float) -> torch.Tensor:
    return torch.full((2, 2, 3, 10, 12), value) * torch.tensor([2.0, 4.0]).reshape(1, 2, 1, 1, 1) + torch.tensor(
        [0.5, -0.5]
    ).reshape(1, 2, 1, 1, 1)


def test_a_family_samples_video_with_inputs_of_its_own(variant: Any) -> None:
    made = sampled(variant, [said(3.0)], [said(1.0)])
    assert torch.allclose(made, in_latent(5.0), atol=1e-4)


def test_areas_crop_the_inputs_and_the_latent_in_all_dimensions(variant: Any) -> None:
    picture = torch.arange(12.0).expand(1, 1, 3, 10, 12)
    area = (3, 10, 4, 0, 0, 8)
    made = sampled(variant, [said(1.0, area=area, picture=picture), said(1.0)], [said(1.0)])
    plain = in_latent(1.0)
    assert torch.allclose(made[..., :8], plain[..., :8], atol=1e-4)
    right = (made[0, 0, 0, 0, 8:] - 2.5) / 2  # the mean of both entries, and twice its distance from the negative
    assert (right[1:] > 5).all()
    assert torch.allclose(right[-1], torch.tensor(2 * 11.0 / 2), atol=1e-3)


def test_a_mask_limits_an_entry_in_every_frame(variant: Any) -> None:
    mask = torch.zeros(1, 10, 12)
    mask[:, :5] = 1
    made = sampled(variant, [said(3.0, mask=mask), said(1.0, mask=1 - mask)], [said(0.0)])
    assert torch.allclose(made[:, :, :, :5], in_latent(6.0)[:, :, :, :5], atol=1e-4)
    assert torch.allclose(made[:, :, :, 5:], in_latent(2.0)[:, :, :, 5:], atol=1e-4)


def test_inputs_are_batched_by_their_fields() -> None:
    one = FilmInputs(torch.zeros(1, 5, 3), references=(torch.zeros(1, 2, 4),))
    other = FilmInputs(torch.ones(2, 5, 3), references=(torch.ones(2, 2, 4),))
    assert one.batch_key() == other.batch_key()
    both = one.for_items(2).joined([other])
    assert both.text[:, 0, 0].tolist() == [0, 0, 1, 1]
    assert both.references[0].shape == (4, 2, 4)
    assert both.first_frame is None
    slower = FilmInputs(torch.zeros(1, 5, 3), references=(torch.zeros(1, 2, 4),), frames_per_second=12.0)
    longer = FilmInputs(torch.zeros(1, 6, 3), references=(torch.zeros(1, 2, 4),))
    assert len({one.batch_key(), slower.batch_key(), longer.batch_key(), FilmInputs(one.text).batch_key()}) == 4


def test_two_families_that_claim_a_file_are_an_error() -> None:
    greedy = Family("greedy", "Greedy", lambda found: detect(found.file, found.weights).variant)
    with pytest.raises(UnknownWeights, match=r"is claimed by Stable Diffusion 1, 2 and XL and Greedy"):
        detect(*file_of(shapes_of(SD1)), among=[*families(), greedy])
