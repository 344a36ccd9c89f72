"""Model folders: their names, where each lies below a root, and which files count. The one table of the server, the
engines and the packs, in ComfyUI's order, so that all of them read the same file of a name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

WEIGHTS = (".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft")
WEIGHTS_OR_GGUF = (*WEIGHTS, ".gguf")
"""The folders whose loaders read GGUF files."""


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
    "text_encoders": ModelFolder(("text_encoders", "clip"), WEIGHTS_OR_GGUF),
    "diffusion_models": ModelFolder(("unet", "diffusion_models"), WEIGHTS_OR_GGUF),
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
    "background_removal": ModelFolder(("background_removal",)),
    "detection": ModelFolder(("detection",)),
    "frame_interpolation": ModelFolder(("frame_interpolation",)),
    "geometry_estimation": ModelFolder(("geometry_estimation",)),
    "optical_flow": ModelFolder(("optical_flow",)),
}
"""By the names that node packs and clients use."""

OTHER_NAMES: Mapping[str, str] = {"unet": "diffusion_models", "clip": "text_encoders"}
"""Old names of folders."""


def canonical(folder: str) -> str:
    return OTHER_NAMES.get(folder, folder)


class ExtraPlace(NamedTuple):
    """A folder of models outside the roots. ``is_default``: it is searched before the roots."""

    folder: str
    path: Path
    is_default: bool = False


def places_of(folder: str, roots: Iterable[Path], extra: Iterable[ExtraPlace] = ()) -> list[Path]:
    """The directories of a model folder, in the order of search. An unknown folder has a directory of its own name."""
    known = MODEL_FOLDERS.get(canonical(folder))
    below = known.places if known is not None else (folder,)
    places = [root / place for root in roots for place in below]
    for place in extra:
        if canonical(place.folder) == canonical(folder):
            if place.path in places:
                places.remove(place.path)
            places.insert(0 if place.is_default else len(places), place.path)
    return places


def with_slashes(name: str) -> str:
    """A model's name as lists write it: workflows from Windows separate folders by ``\\``."""
    return name.replace("\\", "/")
