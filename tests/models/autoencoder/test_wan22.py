"""The autoencoder of Wan 2.2's small model, against ComfyUI's recorded results, and as the value on VAE links."""

from pathlib import Path

import torch
from benchmarks.against_comfyui.family_cases import drawn, weight
from safetensors.torch import load_file, save_file

from safelight.models.autoencoder.video_autoencoder import VideoAutoencoder
from safelight.models.autoencoder.wan22_module import Stage, Wan22Shape, wan22_shape
from safelight.models.autoencoder.wan_module import Part
from safelight.models.checkpoint import load_autoencoder

GOLDEN = Path(__file__).parents[2] / "golden" / "wan22_autoencoder.safetensors"
"""Of ComfyUI 0.8.0, on the weights that :func:`weight` draws."""


def stages(widths: tuple[int, ...], blocks: int, in_time: tuple[bool, ...]) -> tuple[Stage, ...]:
    made: list[Stage] = []
    before = widths[0]
    for number, width in enumerate(widths):
        parts = [Part(before if index == 0 else width, width) for index in range(blocks)]
        if number < len(widths) - 1:
            parts.append(Part(width, width, resamples=True, in_time=in_time[number]))
        made.append(tuple(parts))
        before = width
    return tuple(made)


SHAPE = Wan22Shape(
    8,
    3,
    16,
    96,
    stages((16, 32, 64, 64), 2, (True, True, False)),
    stages((96, 96, 48, 24), 3, (False, True, True)),
    24,
)


def weights(shape: Wan22Shape) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        module = shape.build()
    return {name: weight(name, list(tensor.shape)) for name, tensor in module.state_dict().items()}


@torch.no_grad()
def test_equals_comfyui() -> None:
    own = weights(SHAPE)
    assert wan22_shape({name: tensor.shape for name, tensor in own.items()}) == SHAPE
    module = SHAPE.build()
    module.load_state_dict(own)
    known = load_file(GOLDEN)
    latent, video = module.encode(drawn("video", [1, 3, 9, 32, 32])), module.decode(drawn("latent", [1, 8, 3, 2, 2]))
    assert float((latent - known["latent"]).norm() / known["latent"].norm()) < 1e-5
    assert float((video - known["video"]).norm() / known["video"].norm()) < 1e-5


def test_a_file_is_told_by_its_nested_blocks(tmp_path: Path) -> None:
    save_file(weights(SHAPE), tmp_path / "v.safetensors")
    loaded = load_autoencoder(tmp_path / "v.safetensors")
    assert isinstance(loaded, VideoAutoencoder)
    assert (loaded.downscale, loaded.latent_channels) == (16, 8)
    assert loaded.encode(torch.rand(6, 40, 33, 3)).shape == (1, 8, 2, 2, 2)
    assert loaded.decode(torch.zeros(1, 8, 2, 1, 2)).shape == (5, 16, 32, 3)
