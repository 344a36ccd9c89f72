"""Embeddings, guides and references as inputs of the network. Options: ``picture_spans``, the places of pictures in the
prompt; ``h3_references`` and ``h3_guides``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from safelight.models.families.minimax_h3.layout import TEXT, VIDEO, Kind, Part
from safelight.models.families.minimax_h3.network import GUIDED, H3Inputs
from safelight.models.families.minimax_h3.sparse_attention import SparseAttention
from safelight.models.inputs import WrongConditioning
from safelight.models.sampling.noise import SEEDS

_NOISE_SEED = 42
"""Of the little noise on pictures that guide, which is the same in every run."""


@dataclass(frozen=True, eq=False)
class Given:
    """A reference or a guide: latents of a film ``[1, 24, frames, h, w]``, of a sound ``[1, 32, positions, 1, 2]``, or
    of both. ``frame``: of the film that is made, where a guide is."""

    kind: Kind
    film: torch.Tensor | None = None
    sound: torch.Tensor | None = None
    frame: int = 0

    @property
    def part(self) -> Part:
        size = None if self.film is None else (self.film.shape[2], self.film.shape[3], self.film.shape[4])
        return Part(self.kind, size, 0 if self.sound is None else self.sound.shape[2], self.frame)


@dataclass(frozen=True)
class H3Conditioning:
    """``model``: the network in messages. ``features``: of an embedding. ``shifts``: of the noise levels of film and
    sound."""

    model: str
    features: int
    shifts: tuple[float, float] = (12.0, 3.0)
    sparse: SparseAttention | None = None

    def with_shifts(self, film: float, sound: float) -> "H3Conditioning":
        return replace(self, shifts=(film, sound))

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> H3Inputs:
        if context.shape[-1] != self.features:
            raise WrongConditioning(
                f"{self.model} needs embeddings with {self.features} features (of Qwen3-VL 32B), but the conditioning "
                f"has {context.shape[-1]}; load its text encoder with type 'minimax'"
            )
        given: Sequence[Given] = [*(options.get("h3_references") or ()), *(options.get("h3_guides") or ())]
        generator = torch.Generator().manual_seed(_NOISE_SEED % SEEDS)
        films, sounds = [], []
        for one in given:
            if one.film is not None:
                if one.kind == "guide" and one.film.shape[-2:] != shape[-2:]:
                    raise WrongConditioning(
                        f"a guide is {_pixels(one.film)} pixels large, but the film is {_pixels(torch.empty(shape))}; "
                        "make the latent with the guide's size"
                    )
                noise = torch.randn(one.film.shape, generator=generator)
                films.append((one.film.float() * GUIDED + noise * (1 - GUIDED)).to(device))
            if one.sound is not None:
                sounds.append(one.sound.to(device, torch.float32))
        return H3Inputs(
            context,
            _tags(context, options.get("picture_spans") or ()),
            tuple(one.part for one in given),
            tuple(films),
            tuple(sounds),
            tuple(options.get("sample_sigmas") or ()),
            self.shifts,
            self.sparse,
        )


def _tags(context: torch.Tensor, spans: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Text, but for pictures with the marks around them."""
    tags = torch.full(context.shape[:2], TEXT, device=context.device)
    for start, count in spans:
        tags[:, max(start - 1, 0) : start + count + 1] = VIDEO
    return tags


def _pixels(latent: torch.Tensor) -> str:
    return f"{latent.shape[-1] * 16}x{latent.shape[-2] * 16}"
