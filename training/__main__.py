"""The whole training, one stage after the other: ``python -m training FOLDER`` on a CPU with two cores.

Stages whose result is already in the folder are skipped.
"""

import argparse
from pathlib import Path

import torch

from training import autoencoder, flow, pool, text
from training.export import export

SEED = 20261127
SCENES = 24_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--text", type=float, default=7, help="minutes for the text encoder")
    parser.add_argument("--autoencoder", type=float, default=35)
    parser.add_argument("--flow", type=float, default=120)
    parser.add_argument("--decoder", type=float, default=10, help="minutes for the decoder alone, at the end")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    encoder, coder, latents, network = (folder / f"{n}.pt" for n in ("text", "autoencoder", "pool", "flow"))
    if not encoder.exists():
        text.train(encoder, minutes=given.text, seed=SEED)
    if not coder.exists():
        autoencoder.train(coder, minutes=given.autoencoder, seed=SEED)
    if not latents.exists():
        torch.save(pool.make_pool(coder, count=SCENES, seed=SEED), latents)
    if not network.exists():
        made: pool.Pool = torch.load(latents, weights_only=False)  # written by the line above, by this program
        flow.train(made, encoder, network, minutes=given.flow, seed=SEED)
        autoencoder.train(coder, minutes=given.decoder, seed=SEED + 1, start=coder, rate=7e-4, decoder_alone=True)
    export(folder, folder / "safelight-miniature.safetensors")


if __name__ == "__main__":
    main()
