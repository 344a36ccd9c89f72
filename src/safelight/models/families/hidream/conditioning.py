"""Conditioning of HiDream: the options ``pooled_output``, ``conditioning_llama3`` and ``concat_latent_image``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.families.hidream.hidream_module import HiDreamInputs, HiDreamShape
from safelight.models.inputs import WrongConditioning, repeated
from safelight.models.latent_format import LatentFormat


@dataclass(frozen=True)
class HiDreamConditioning:
    """``title``: of the network, for messages."""

    shape: HiDreamShape
    latent_format: LatentFormat
    title: str

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> HiDreamInputs:
        language, pooled = options.get("conditioning_llama3"), options.get("pooled_output")
        if language is None or pooled is None or context.shape[-1] != self.shape.context:
            raise WrongConditioning(
                f"{self.title} needs the embeddings of T5 XXL and Llama 3.1 with the pooled output of CLIP L and CLIP "
                f"G, but the conditioning has {context.shape[-1]} features of another text encoder; load its text "
                "encoders with type 'hidream'"
            )
        picture = options.get("concat_latent_image")
        if picture is not None:
            picture = repeated(self.latent_format.to_network(picture.to(device, torch.float32)), shape[0])
        return HiDreamInputs(
            context, language.to(device, torch.float32), pooled.to(device, torch.float32), picture=picture
        )
