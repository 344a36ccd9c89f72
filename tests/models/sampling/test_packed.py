"""Latents of several parts: the network sees the parts, and each part ends as if it were sampled alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from tests.models.sampling.networks import Plain, model_of, saying

from safelight.models.latent_format import LatentFormat
from safelight.models.nested import NestedTensor, Packing
from safelight.models.sampling.guidance import CfgGuider, PositiveGuider
from safelight.models.sampling.packed import OnlyForOnePart
from safelight.models.sampling.sample import ChosenSampler, LatentMismatch, Sampled, fitting, sample
from safelight.models.sampling.samplers.table import SAMPLERS
from safelight.models.unet.unet_module import UNetInputs

SIGMAS = torch.tensor([8.0, 2.0, 0.5, 0.0])
VIDEO, SOUND = (1, 2, 3, 4, 5), (1, 3, 7)


@dataclass(frozen=True)
class Pair(Plain):
    """Predicts the mean of the context for the first part, and its negative for the second."""

    given: list[Mapping[str, Any]] = field(default_factory=list)

    @contextmanager
    def session(self) -> Iterator[Any]:
        yield self._predict_both

    def prepare_inputs(self, context: torch.Tensor, options: Mapping[str, Any], **more: Any) -> UNetInputs:
        self.given.append({**options, **more})
        return super().prepare_inputs(context, options, **more)

    def _predict_both(self, x: NestedTensor, timestep: torch.Tensor, inputs: UNetInputs, **more: Any) -> NestedTensor:
        first, second = x
        return NestedTensor(
            [self._predict(first, timestep, inputs, **more), -self._predict(second, timestep, inputs, **more)]
        )


TWO = LatentFormat(
    channels=2, frames=8, scale=0.5, shift=1.0, others=(LatentFormat(channels=3, is_sequence=True, scale=2.0),)
)


def pair(*, scale: float = 1.0) -> NestedTensor:
    generator = torch.Generator().manual_seed(4)
    return NestedTensor([torch.randn(shape, generator=generator) * scale for shape in (VIDEO, SOUND)])


def run(guider: Any, latent: NestedTensor, *, mask: Any = None, seen: list[Any] | None = None) -> Sampled:
    return sample(
        guider,
        ChosenSampler(SAMPLERS["euler"]),
        SIGMAS,
        latent=fitting(latent, guider.model.latent_format),
        noise=latent.map(torch.ones_like),
        seed=3,
        noise_mask=mask,
        on_step=lambda step, count, denoised: seen.append(denoised) if seen is not None else None,
    )


def test_each_part_is_converted_by_its_own_format() -> None:
    network, seen = Pair(), list[Any]()
    made = run(PositiveGuider(model_of(network, latent_format=TWO), saying(3.0)), pair(), seen=seen)
    assert isinstance(made.samples, NestedTensor)
    video, sound = made.samples
    assert torch.allclose(video, torch.full(VIDEO, 3.0 / 0.5 + 1.0), atol=1e-5)
    assert torch.allclose(sound, torch.full(SOUND, -3.0 / 2.0), atol=1e-5)
    assert network.asked[:2] == [VIDEO, SOUND]
    assert [tuple(part.shape) for part in seen[-1]] == [VIDEO, SOUND]


def test_the_network_is_told_the_shapes_of_all_parts() -> None:
    network = Pair()
    run(CfgGuider(model_of(network, latent_format=TWO), saying(3.0), saying(1.0), 2.0), pair())
    assert network.given[0]["latent_shapes"] == (VIDEO, SOUND)
    assert network.given[0]["shape"] == VIDEO
    assert network.asked[0] == (2, *VIDEO[1:])  # both sides in one batch


def test_a_mask_of_the_first_part_leaves_the_other_free() -> None:
    network, latent = Pair(), pair()
    mask = torch.zeros(1, 1, 3, 4, 5)
    mask[:, :, 1:] = 1
    made = run(PositiveGuider(model_of(network, latent_format=TWO), saying(3.0)), latent, mask=mask)
    assert isinstance(made.samples, NestedTensor)
    video, sound = made.samples
    assert torch.allclose(video[:, :, :1], latent.tensors[0][:, :, :1], atol=1e-5)
    assert torch.allclose(video[:, :, 1:], torch.full((1, 2, 2, 4, 5), 7.0), atol=1e-5)
    assert torch.allclose(sound, torch.full(SOUND, -1.5), atol=1e-5)
    masks = network.given[0]["noise_mask"]
    assert [tuple(part.shape) for part in masks] == [VIDEO, SOUND]
    assert masks.tensors[1].all()


def test_masks_of_both_parts_keep_both() -> None:
    latent = pair()
    masks = NestedTensor([torch.ones(1, 1, 3, 4, 5), torch.zeros(1, 1, 7)])
    made = run(PositiveGuider(model_of(Pair(), latent_format=TWO), saying(3.0)), latent, mask=masks)
    assert isinstance(made.samples, NestedTensor)
    assert torch.allclose(made.samples.tensors[1], latent.tensors[1], atol=1e-5)


def test_outside_of_a_mask_the_network_sees_no_noise_if_the_model_says_so() -> None:
    seen: list[torch.Tensor] = []

    class Watching(Plain):
        def _predict(self, x: torch.Tensor, timestep: torch.Tensor, inputs: UNetInputs, **more: Any) -> torch.Tensor:
            seen.append(x)
            return super()._predict(x, timestep, inputs, **more)

    latent = torch.ones(1, 4, 6, 8)
    for is_clean in (True, False):
        sample(
            PositiveGuider(model_of(Watching(), is_clean_outside_mask=is_clean), saying(3.0)),
            ChosenSampler(SAMPLERS["euler"]),
            SIGMAS[:2],
            latent=latent,
            noise=torch.ones_like(latent),
            seed=3,
            noise_mask=torch.zeros(1, 6, 8),
            on_step=lambda step, count, denoised: None,
        )
    assert [round(float(x.mean()) * 65**0.5, 3) for x in seen] == [1.0, 9.0]  # the input is scaled to unit variance


def test_a_latent_of_parts_fits_no_model_of_one() -> None:
    with pytest.raises(LatentMismatch, match="works on one latent, but this one has 2 parts"):
        fitting(pair(), LatentFormat())
    with pytest.raises(LatentMismatch, match="works on audio, but the latent has 3 dimensions"):
        fitting(NestedTensor([torch.zeros(VIDEO), torch.zeros(VIDEO)]), TWO)


def test_areas_are_refused() -> None:
    guider = PositiveGuider(model_of(Pair(), latent_format=TWO), saying(3.0, area=(4, 4, 0, 0)))
    with pytest.raises(OnlyForOnePart, match="'area'"):
        run(guider, pair())


def test_packing_keeps_every_value() -> None:
    latent = pair()
    packing = Packing.of(latent)
    packed = packing.pack(latent)
    assert packed.shape == (1, 1, 2 * 3 * 4 * 5 + 3 * 7)
    assert all(map(torch.equal, packing.unpack(packed), latent))
    twice = packing.unpack(packed.repeat(2, 1, 1))
    assert [tuple(part.shape) for part in twice] == [(2, *VIDEO[1:]), (2, *SOUND[1:])]
