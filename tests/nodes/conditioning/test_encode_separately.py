"""Nodes with a text for each encoder: which encoder reads which text, and what an empty text becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn

from safelight.models.text.chunks import Window
from safelight.models.text.encoder import TextEncoder, Tokens
from safelight.models.text.recipe import Encoding, TextRecipe
from safelight.models.weights import Weights
from safelight.nodes.conditioning.encode_separately import (
    CLIPTextEncodeFlux,
    CLIPTextEncodeHiDream,
    CLIPTextEncodeSD3,
    OtherTextEncoder,
)


@dataclass(frozen=True)
class Words:
    """A window for each word, at least one; its token is the word."""

    kind: str

    def build(self, weights: Weights) -> nn.Module:
        return nn.Identity()

    def tokenize(self, text: str, weights: Weights, options: Mapping[str, Any]) -> list[Window]:
        ending = "".join(f"{name}={value}" for name, value in options.get("tokenizer_options", {}).items())
        return [[(word + ending, 1.0)] for word in text.split() or [""]]

    def encode(
        self, module: nn.Module, windows: Sequence[Window], *, layer: int | None, device: torch.device
    ) -> Encoding:
        return Encoding(torch.zeros(1, len(windows), 4), pooled=torch.zeros(1, 4))


@dataclass(frozen=True)
class Recording(TextEncoder):
    seen: dict[str, list[str]] = field(default_factory=dict)

    def encoding(self, tokens: Tokens) -> Encoding:
        self.seen.update({key: [str(window[0][0]) for window in windows] for key, windows in tokens.items()})
        return Encoding(torch.zeros(1, 1, 4), pooled=torch.zeros(1, 4))


def encoders(type: str, *keys: str) -> Recording:
    return Recording(Weights({}), TextRecipe({key: Words(key) for key in keys}, types=(type,), title=type.upper()))


def test_flux_has_a_text_for_clip_and_one_for_t5() -> None:
    clip = encoders("flux", "l", "t5xxl")
    ((_, options),) = CLIPTextEncodeFlux.execute(clip, "a cat", "a cat on a mat", 2.0).values[0]
    assert clip.seen == {"l": ["a", "cat"], "t5xxl": ["a", "cat", "on", "a", "mat"]}
    assert options["guidance"] == 2.0


def test_texts_of_clip_get_equally_many_windows() -> None:
    clip = encoders("sd3", "l", "g", "t5xxl")
    CLIPTextEncodeSD3.execute(clip, "one", "one two three", "x", "none")
    assert clip.seen == {"l": ["one", "", ""], "g": ["one", "two", "three"], "t5xxl": ["x"]}


@pytest.mark.parametrize(
    ("padding", "expected"),
    [("none", {"t5xxl": ["word"]}), ("empty_prompt", {"l": [""], "g": [""], "t5xxl": ["word"]})],
)
def test_empty_texts_of_clip_are_nothing_or_empty_prompts(padding: str, expected: dict[str, list[str]]) -> None:
    clip = encoders("sd3", "l", "g", "t5xxl")
    CLIPTextEncodeSD3.execute(clip, "", "", "word", padding)
    assert clip.seen == expected


def test_an_empty_text_of_t5_is_not_padded_unless_requested() -> None:
    clip = encoders("sd3", "l", "t5xxl")
    CLIPTextEncodeSD3.execute(clip, "one", "ignored: there is no CLIP G", "", "none")
    assert clip.seen == {"l": ["one"], "t5xxl": ["t5xxl_min_length=0"]}
    CLIPTextEncodeSD3.execute(clip, "one", "", "", "empty_prompt")
    assert clip.seen["t5xxl"] == [""]


def test_hidream_has_four_texts() -> None:
    clip = encoders("hidream", "l", "g", "t5xxl", "llama")
    CLIPTextEncodeHiDream.execute(clip, "a", "b", "c", "d")
    assert clip.seen == {"l": ["a"], "g": ["b"], "t5xxl": ["c"], "llama": ["d"]}


def test_encoders_of_another_family_are_an_error() -> None:
    with pytest.raises(OtherTextEncoder, match="the text encoders of SDXL; load them with type 'flux'"):
        CLIPTextEncodeFlux.execute(encoders("sdxl", "l", "g"), "a", "b", 1.0)
