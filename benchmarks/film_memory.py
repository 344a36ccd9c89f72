"""The memory that saving a film costs: 200 frames compared with 20, each in a process of its own.

``python -m benchmarks.film_memory`` decodes a latent with an autoencoder of Wan 2.1's structure and few channels,
writes an MP4 as ``VAEDecode``, ``CreateVideo`` and ``SaveVideo`` do, and prints the peak of each process above its
peak before, and their ratio. ``--whole`` makes a tensor of all frames first, as a node does that needs them.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SIDE = 256
LENGTHS = (20, 200)


def measure(frames: int, *, whole: bool) -> int:
    """Bytes at the peak, above those before."""
    import torch
    from safetensors.torch import save_file

    from safelight.models.checkpoint import load_autoencoder
    from safelight.models.families.wan.miniature_files import VAE
    from safelight.models.miniatures.writing import random_weights
    from safelight.nodes.latent.autoencoder import VAEDecode
    from safelight.nodes.video.save_video import CreateVideo

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        with torch.device("meta"):
            module = VAE.build()
        save_file(random_weights(module), Path(folder) / "vae.safetensors")
        autoencoder = load_autoencoder(Path(folder) / "vae.safetensors")
        latents = 1 + (frames - 1) // 4
        warm = torch.zeros(1, 16, 2, SIDE // 8, SIDE // 8)
        _save(VAEDecode, CreateVideo, warm, autoencoder, Path(folder) / "warm.mp4", whole)
        before = _peak()
        latent = torch.randn(1, 16, latents, SIDE // 8, SIDE // 8)
        _save(VAEDecode, CreateVideo, latent, autoencoder, Path(folder) / "film.mp4", whole)
    return _peak() - before


def _save(decode, create, latent, autoencoder, path: Path, whole: bool) -> None:  # type: ignore[no-untyped-def]
    film = decode.execute({"samples": latent}, autoencoder).values[0]
    create.execute(film.whole() if whole else film, 16.0).values[0].save_to(path)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--frames", type=int, help="measure only this length, and print bytes")
    arguments = parser.parse_args()
    if arguments.frames:
        print(measure(arguments.frames, whole=arguments.whole))
        return
    peaks = []
    for frames in LENGTHS:
        command = [sys.executable, "-m", "benchmarks.film_memory", "--frames", str(frames)]
        done = subprocess.run(
            [*command, *(["--whole"] if arguments.whole else [])],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},  # else the heap keeps what is freed, by chance
        )
        peaks.append(int(done.stdout))
        print(f"{frames:>5} frames {peaks[-1] / 2**20:8.1f} MiB")
    print(f"ratio {peaks[1] / peaks[0]:.2f}")


if __name__ == "__main__":
    main()
