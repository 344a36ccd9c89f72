"""Textual inversion: vectors that replace words, from files in the ``embeddings`` folder."""

from pathlib import Path

import torch
from safetensors import safe_open

from safelight.media.media_errors import UnreadableWeights
from safelight.media.weights_format import WeightsFormat, check_weights
from safelight.sdk.context import current

_EXTENSIONS = ("", ".safetensors", ".pt", ".bin")


def find_embedding(name: str, *, encoder: str, width: int) -> torch.Tensor | None:
    """Vectors ``[n, width]`` of the file ``name``, with or without its extension; ``None`` if there is no such file, or
    it has none for this encoder. Raises :class:`UnreadableWeights`, also for pickles."""
    for extension in _EXTENSIONS:
        try:
            path = current().model_path("embeddings", name + extension)
        except (FileNotFoundError, LookupError):
            continue
        return _read(path, encoder, width)
    return None


def _read(path: Path, encoder: str, width: int) -> torch.Tensor | None:
    if check_weights(path) is not WeightsFormat.SAFETENSORS:
        raise UnreadableWeights(f"{path.name!r} is a GGUF file; use a safetensors file of the embedding")
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        wanted = next((name for name in (f"clip_{encoder}", "emb_params", "string_to_param.*") if name in names), None)
        chosen = [wanted] if wanted else names
        vectors = [file.get_tensor(name) for name in chosen]
    fitting = [v.reshape(-1, v.shape[-1]) for v in vectors if v.dim() in (1, 2) and v.shape[-1] == width]
    return torch.cat(fitting).float() if fitting else None
