"""``nodes.SaveImage`` and ``nodes.PreviewImage`` as packs subclass them: they set ``type``, ``prefix_append`` and
``compress_level`` on ``self`` and call ``save_images``."""

import random
import string
from typing import Any

from safelight.media.metadata import Metadata
from safelight.nodes.files.save_image import save_pictures
from safelight.sdk.context import OutputFile
from safelight.worker.context import worker_context

_random = random.SystemRandom()  # the global generator is seeded by nodes


class SaveImage:
    """Save pictures in the output folder."""

    RETURN_TYPES = ()
    FUNCTION = "save_images"
    OUTPUT_NODE = True
    CATEGORY = "image"

    def __init__(self) -> None:
        self.output_dir = str(worker_context().workspace.folder("output"))
        self.type = "output"
        self.prefix_append = ""
        self.compress_level = 4

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"images": ("IMAGE",), "filename_prefix": ("STRING", {"default": "ComfyUI"})},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def save_images(
        self, images: Any, filename_prefix: str = "ComfyUI", prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        """Save ``[B, H, W, C]``, or a list of ``[H, W, C]``."""
        files: list[OutputFile] = []
        for batch in [images] if hasattr(images, "shape") and images.ndim == 4 else [i.unsqueeze(0) for i in images]:
            files += save_pictures(
                batch,
                prefix=filename_prefix + self.prefix_append,
                folder=self.type,
                compress_level=self.compress_level,
                metadata=Metadata(prompt, extra_pnginfo),
            )
        return {"ui": {"images": [file.as_dict() for file in files]}}


class PreviewImage(SaveImage):
    """Show pictures without keeping them among the outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.output_dir = str(worker_context().workspace.folder("temp"))
        self.type = "temp"
        self.prefix_append = "_temp_" + "".join(_random.choices(string.ascii_lowercase, k=5))
        self.compress_level = 1

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        types = super().INPUT_TYPES()
        return types | {"required": {"images": types["required"]["images"]}}
