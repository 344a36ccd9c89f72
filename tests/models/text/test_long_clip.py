"""LongCLIP has 248 positions, so its windows are longer."""

import torch

from safelight.models.text.chunks import empty_window, windows
from safelight.models.text.clip import CLIP_L
from safelight.models.text.tokenizer import END
from safelight.models.weights import Source, WeightFile, Weights


def test_windows_are_as_long_as_the_encoder_has_positions() -> None:
    shapes = {
        "text_model.embeddings.token_embedding.weight": torch.Size((49408, 768)),
        "text_model.embeddings.position_embedding.weight": torch.Size((248, 768)),
    }
    file = WeightFile(("long.safetensors", 0, 0), shapes, {}, {})
    weights = Weights({name: Source(file, name) for name in shapes})
    (window,) = CLIP_L.tokenize("cat " * 200, weights, {})
    assert len(window) == 248
    assert [token for token, _ in window].count(END) == 248 - 1 - 200
    assert len(CLIP_L.tokenize("cat " * 300, weights, {})) == 2


def test_an_empty_window_has_the_length_of_the_others() -> None:
    (window,) = windows("", pad=0, find_embedding=lambda name: None, length=248)
    assert window == empty_window(0, length=248)
