"""Model folders: their names, where each lies below a root, and which files count. The one table of the server, the
engines and the packs, in ComfyUI's order, so that all of them read the same file of a name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

WEIGHTS = (".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft")
"""GGUF files are not among them: no loader reads one."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """``places``: below a root; of two files of one name, the one in the first place counts. ``extensions``: of its
    files; ``"folder"``: sub-folders count instead; ``""``: all."""

    places: tuple[str, ...]
    extensions: tuple[str, ...] = WEIGHTS


MODEL_FOLDERS: Mapping[str, ModelFolder] = {
    "checkpoints": ModelFolder(("checkpoints",)),
    "configs": ModelFolder(("configs",), (".yaml",)),
    "loras": ModelFolder(("loras",)),
    "vae": ModelFolder(("vae",)),
    "text_encoders": ModelFolder(("text_encoders", "clip")),
    "diffusion_models": ModelFolder(("unet", "diffusion_models")),
    "clip_vision": ModelFolder(("clip_vision",)),
    "style_models": ModelFolder(("style_models",)),
    "embeddings": ModelFolder(("embeddings",)),
    "diffusers": ModelFolder(("diffusers",), ("folder",)),
    "vae_approx": ModelFolder(("vae_approx",)),
    "controlnet": ModelFolder(("controlnet", "t2i_adapter")),
    "gligen": ModelFolder(("gligen",)),
    "upscale_models": ModelFolder(("upscale_models",)),
    "latent_upscale_models": ModelFolder(("latent_upscale_models",)),
    "hypernetworks": ModelFolder(("hypernetworks",)),
    "photomaker": ModelFolder(("photomaker",)),
    "classifiers": ModelFolder(("classifiers",), ("",)),
    "model_patches": ModelFolder(("model_patches",)),
    "audio_encoders": ModelFolder(("audio_encoders",)),
}
"""By the names that node packs and clients ask for."""

OTHER_NAMES: Mapping[str, str] = {"unet": "diffusion_models", "clip": "text_encoders"}
"""Old names of folders."""


def canonical(folder: str) -> str:
    return OTHER_NAMES.get(folder, folder)


def places_of(folder: str) -> tuple[str, ...]:
    """Below a root; a folder that nothing is known of lies under its own name."""
    known = MODEL_FOLDERS.get(canonical(folder))
    return known.places if known is not None else (folder,)


def with_slashes(name: str) -> str:
    """A model's name as lists have it: workflows from Windows separate folders by ``\\``."""
    return name.replace("\\", "/")
