"""The bundled model is the one that was scored, and is small enough to be packaged."""

import hashlib

from safelight.models.checkpoint import load_checkpoint
from safelight.settings import BUNDLED_MODELS

PATH = BUNDLED_MODELS / "checkpoints" / "safelight-miniature.safetensors"
SHA256 = "90ea88ee48fc61c1e7c59cf9f17d9068f45bf79073faa2e69d63ccd7ace4f607"


def test_the_file_is_the_one_that_was_scored() -> None:
    """`training/README.md` has its scores; after training a new model, update both."""
    assert hashlib.sha256(PATH.read_bytes()).hexdigest() == SHA256
    assert PATH.stat().st_size <= 20_000_000


def test_it_has_all_that_a_checkpoint_has() -> None:
    loaded = load_checkpoint(PATH)
    assert loaded.model.family == "miniature"
    assert loaded.text is not None
    assert loaded.autoencoder is not None
    assert (loaded.autoencoder.downscale, loaded.model.latent_format.channels) == (8, 4)
