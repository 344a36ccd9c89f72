"""A network's step at many picture sizes, with packed weights compared with plain weights, as ratios within one run.

``python -m benchmarks.sizes [--small] [--rounds N]``: a UNet of Stable Diffusion 1.5's shape, or a fifth as wide, with
random weights. Each size is computed in turns, plain and packed, and the fastest turn counts. The first step at a size,
in which packed weights are reordered for it, is reported separately. Exits with an error if a step takes more than
``NOISE`` times as long as the plain one.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tests.models.unets import unet_of

from safelight.models.operations import Conv2d, Linear
from safelight.models.residency import Residency
from safelight.models.unet.unet_module import Heads, UNet
from safelight.models.weights import weight_file

SIZES = (
    (256, 256),
    (320, 320),
    (96, 80),
    (72, 56),
    (384, 256),
    (448, 320),
    (200, 136),
    (64, 64),
    (104, 104),
    (512, 512),
)
SIZES += ((336, 600), (136, 72))
NOISE = 1.2


def timed(work: Callable[[], Any]) -> float:
    """CPU seconds, which are comparable on a busy machine too."""
    began = time.process_time()
    work()
    return time.process_time() - began


def plain_of(packed: UNet, build: Callable[[], UNet]) -> UNet:
    """The same weights in PyTorch's layout."""
    with torch.device("meta"):
        plain = build().eval().requires_grad_(False)
    state = {name: value.to_dense() if value.is_mkldnn else value for name, value in packed.state_dict().items()}
    plain.load_state_dict(state, strict=True, assign=True)
    return plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    channels = 64 if given.small else 320
    shape = unet_of(channels=channels)

    def build() -> UNet:
        return UNet(shape, heads=Heads(count=8))

    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        torch.manual_seed(0)
        file = Path(folder) / "unet.safetensors"
        with torch.device("meta"):
            shapes = {name: value.shape for name, value in build().state_dict().items()}
        save_file({name: (torch.randn(size) * 0.02).half() for name, size in shapes.items()}, file)
        cpu = torch.device("cpu")
        with Residency().use(weight_file(file).weights(), (), build, device=cpu, dtype=torch.float32) as packed:
            plain = plain_of(packed, build)
            counts = [
                sum(isinstance(part, kind) and part.weight.is_mkldnn for part in packed.modules())
                for kind in (Conv2d, Linear)
            ]
            print(
                f"{channels} channels, {torch.get_num_threads()} threads;"
                f" packed: {counts[0]} convolutions, {counts[1]} matrices"
            )
            slow = [size for size in SIZES if compare(packed, plain, size, given.rounds) > NOISE]
    sys.exit(1 if slow else 0)


def compare(packed: UNet, plain: UNet, size: tuple[int, int], rounds: int) -> float:
    x = torch.randn(2, 4, size[0] // 8, size[1] // 8)
    context, timestep = torch.randn(2, 77, 768), torch.tensor([500.0, 500.0])
    first = timed(lambda: packed(x, timestep, context=context))
    first_of_plain = timed(lambda: plain(x, timestep, context=context))
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(timed(lambda: packed(x, timestep, context=context)))
        theirs.append(timed(lambda: plain(x, timestep, context=context)))
    ratio = min(ours) / min(theirs)
    print(
        f"{size[0]}x{size[1]}: plain {min(theirs):.3f} s, packed {ratio:.2f} times,"
        f" its first step {first / first_of_plain:.2f} times plain's first",
        flush=True,
    )
    return ratio


if __name__ == "__main__":
    main()
