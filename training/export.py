"""Export the trained parts as one checkpoint in latent diffusion's layout, in half precision. Its metadata has the
values that the weights do not show.

``python -m training.export FOLDER OUT.safetensors``
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safelight.models.families.miniature import METADATA
from safetensors.torch import save_file

from training.autoencoder import GROUPS as AUTOENCODER_GROUPS
from training.autoencoder import pictures
from training.flow import GROUPS, HEAD_WIDTH
from training.pool import load_autoencoder


def rough_colors(autoencoder: Path, *, shift: float, scale: float) -> tuple[list[list[float]], list[float]]:
    """Return the least-squares linear map from a latent, as the network sees it, to the mean colours of its cells."""
    import random

    seen = pictures(64, random.Random(5))
    with torch.no_grad():
        latents = (load_autoencoder(autoencoder).moments(seen)[0] - shift) * scale
    cells = latents.movedim(1, -1).reshape(-1, latents.shape[1])
    colors = torch.nn.functional.avg_pool2d(seen, 8).movedim(1, -1).reshape(-1, 3)
    ones = torch.ones(len(cells), 1)
    found = torch.linalg.lstsq(torch.cat((cells, ones), dim=1), colors).solution
    return found[:-1].tolist(), found[-1].tolist()


def export(folder: Path, out: Path) -> None:
    trained: dict[str, Any] = torch.load(folder / "flow.pt")
    factors, bias = rough_colors(folder / "autoencoder.pt", shift=trained["shift"], scale=trained["scale"])
    settings = {
        "flow_shift": 1.0,
        "latent_scale": trained["scale"],
        "latent_shift": trained["shift"],
        "rgb_factors": factors,
        "rgb_bias": bias,
        "head_width": HEAD_WIDTH,
        "groups": GROUPS,
        "autoencoder_groups": AUTOENCODER_GROUPS,
    }
    parts = {
        "model.diffusion_model.": trained["state"],
        "first_stage_model.": torch.load(folder / "autoencoder.pt"),
        "cond_stage_model.transformer.": torch.load(folder / "text.pt"),
    }
    tensors = {
        f"{prefix}{name}": tensor.to(torch.float16).contiguous()
        for prefix, state in parts.items()
        for name, tensor in state.items()
    }
    save_file(tensors, out, metadata={"format": "pt", METADATA: json.dumps(settings)})
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {trained['step']} steps")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    export(given.folder, given.out)
