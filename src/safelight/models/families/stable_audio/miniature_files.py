"""Miniature weights of Stable Audio Open."""

from torch import nn

from safelight.models.autoencoder.oobleck_module import Oobleck, OobleckShape
from safelight.models.families.stable_audio.network import TIMES, StableAudio, StableAudioShape
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import WIDTH, Joined
from safelight.models.text.t5 import T5Encoder, T5Shape

NETWORK = StableAudioShape(
    channels=64,
    width=256,
    context=WIDTH,
    feed_forward=512,
    layers=2,
    time_features=64,
    number_features=32,
    turned=32,
)
AUTOENCODER = OobleckShape(channels=2, latent=64, widths=(4, 4, 8, 8, 16, 16), strides=(2, 4, 4, 8, 8))


def _t5() -> nn.Module:
    return T5Encoder(T5Shape(32128, WIDTH, 4, WIDTH // 4, 2 * WIDTH, 2, is_gated=False, has_own_biases=False))


def _checkpoint() -> nn.Module:
    network = StableAudio(NETWORK)
    times = {name: network.get_submodule(name) for name in TIMES}
    for name in TIMES:
        delattr(network, name)
    return Joined(
        model__model=network,
        pretransform__model=Oobleck(AUTOENCODER),
        **{f"conditioner__conditioners__{name}": module for name, module in times.items()},
    )


MINIATURES = (
    Miniature(
        "stable-audio-open",
        (
            MiniatureFile("checkpoints", "stable-audio-open-1.0.safetensors", _checkpoint, format="fp32"),
            MiniatureFile("text_encoders", "t5-base.safetensors", _t5),
        ),
    ),
)
