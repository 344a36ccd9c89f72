"""Embeddings and reference pictures as inputs of the network. Options: ``reference_latents``, and ``picture_spans``,
the places of pictures in the prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from safelight.models.families.qwen_image21.latent import QWEN_IMAGE21_LATENT
from safelight.models.families.qwen_image21.network import QwenImage21Inputs, Span
from safelight.models.families.qwen_image21.prefix_cache import CacheSettings, PrefixCache
from safelight.models.inputs import WrongConditioning


@dataclass(frozen=True)
class QwenImage21Conditioning:
    """``model``: the network in messages. ``features``: of an embedding. ``cache``: how what comes before the picture
    is kept between steps."""

    model: str
    features: int
    cache: CacheSettings = field(default_factory=CacheSettings)

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> QwenImage21Inputs:
        if context.shape[-1] != self.features:
            raise WrongConditioning(
                f"{self.model} needs embeddings with {self.features} features (of Qwen3-VL 8B), but the conditioning "
                f"has {context.shape[-1]}; load its text encoder with type 'qwen_image'"
            )
        given = (latent.to(device, torch.float32) for latent in options.get("reference_latents") or ())
        references = tuple(
            QWEN_IMAGE21_LATENT.to_network(latent) if latent.shape[1] == shape[1] else latent for latent in given
        )
        for reference in references:
            if reference.shape[1] != shape[1]:
                raise WrongConditioning(
                    f"{self.model} needs reference latents with {shape[1]} channels, not {reference.shape[1]}; encode "
                    "them with its own VAE"
                )
        spans = _spans(context.shape[1], options.get("picture_spans") or (), len(references))
        return QwenImage21Inputs(context, references, spans, PrefixCache(self.cache))


def _spans(length: int, pictures: Sequence[tuple[int, int]], references: int) -> tuple[Span, ...]:
    """The context in pieces: text, and the pictures of the prompt that have a latent. References that the prompt does
    not show follow it."""
    made: list[Span] = []
    end = 0
    for number, (start, count) in enumerate(pictures[:references]):
        made += [Span(end, start), Span(start, start + count, number)]
        end = start + count
    made.append(Span(end, length))
    made += [Span(length, length, number) for number in range(len(pictures), references)]
    return tuple(span for span in made if span.end > span.start or span.reference is not None)
