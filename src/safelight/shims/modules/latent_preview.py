"""Previews of sampling. Decoders of latents are absent; a callback reports the steps."""

from collections.abc import Callable
from typing import Any

from safelight.shims.absent import absent_attributes
from safelight.shims.modules.comfy.cli_args import LatentPreviewMethod
from safelight.shims.modules.comfy.utils import ProgressBar

__getattr__ = absent_attributes(__name__)

MAX_PREVIEW_RESOLUTION = 512


class LatentPreviewer:
    """Base class for packs: ``decode_latent_to_preview`` returns a PIL image."""

    def decode_latent_to_preview(self, x0: Any) -> Any:
        raise NotImplementedError

    def decode_latent_to_preview_image(self, preview_format: str, x0: Any) -> tuple[str, Any, int]:
        return preview_format, self.decode_latent_to_preview(x0), MAX_PREVIEW_RESOLUTION


def get_previewer(device: Any, latent_format: Any) -> None:
    """Return ``None``: latents are not decoded."""


def prepare_callback(model: Any, steps: int, x0_output_dict: dict[str, Any] | None = None) -> Callable[..., None]:
    """Return a callback for samplers, called with the step, the denoised latent, the noisy one and the number of
    steps."""
    bar = ProgressBar(steps)

    def callback(step: int, x0: Any, x: Any, total_steps: int) -> None:
        if x0_output_dict is not None:
            x0_output_dict["x0"] = x0
        bar.update_absolute(step + 1, total_steps)

    return callback


def set_preview_method(override: str | None = None) -> None:
    """Does nothing: each job has its own ``preview_method``, in its extra data."""


__all__ = ["LatentPreviewMethod", "LatentPreviewer", "get_previewer", "prepare_callback"]
