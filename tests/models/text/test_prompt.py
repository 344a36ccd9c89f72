"""Weights in prompts, tokens, and how tokens fill windows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safelight.models.text.chunks import LENGTH, windows
from safelight.models.text.prompt_weights import segments
from safelight.models.text.tokenizer import END, START, tokens_of


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat", [("a cat", 1.0)]),
        ("(cat)", [("cat", 1.1)]),
        ("((cat))", [("cat", 1.21)]),
        ("(cat:1.3)", [("cat", 1.3)]),
        ("a (big (red:1.5) ball:0.5) here", [("a ", 1.0), ("big ", 0.5), ("red", 1.5), (" ball", 0.5), (" here", 1.0)]),
        (r"\(not weighted\)", [("(not weighted)", 1.0)]),
        (r"(a \(b\) c:1.2)", [("a (b) c", 1.2)]),
        ("an open (bracket", [("an open ", 1.0), ("(bracket", 1.0)]),
        ("closed) only", [("closed) only", 1.0)]),
        ("smile :), (red hair:1.3)", [("smile :), (red hair:1.3)", 1.0)]),
        ("smile :), (red hair:1.3) (blue:1.2)", [("smile :), (red hair:1.3) (blue:1.2)", 1.0)]),
        ("open ( then (cat:1.3) more", [("open ", 1.0), ("( then (cat:1.3) more", 1.0)]),
        ("((cat)", [("(cat", 1.1)]),
        ("a) (b) ((c))", [("a) (b) (", 1.0), ("c", 1.1), (")", 1.0)]),
        ("(word:many)", [("word:many", 1.1)]),
        ("(a:b:2)", [("a:b", 2.0)]),
        ("", []),
    ],
)
def test_weights(prompt: str, expected: list[tuple[str, float]]) -> None:
    found = segments(prompt)
    assert [segment.text for segment in found] == [text for text, _ in expected]
    assert [segment.weight for segment in found] == pytest.approx([weight for _, weight in expected])


@given(st.text(alphabet="ab ():.12\\", max_size=40))
def test_no_prompt_breaks_the_parser(prompt: str) -> None:
    kept = "".join(segment.text for segment in segments(prompt))
    assert len(kept) <= len(prompt)


def test_tokens_are_those_of_clip() -> None:
    """Measured with ComfyUI 0.8.0."""
    assert tokens_of("a photograph of an astronaut riding a horse,") == [
        320,
        8853,
        539,
        550,
        18376,
        6765,
        320,
        4558,
        267,
    ]
    assert tokens_of("highly  Detailed") == [5302, 12609]
    assert tokens_of("blurry, text") == [21977, 267, 4160]
    assert tokens_of("") == []


def filled(prompt: str, pad: int = END) -> list[list[object]]:
    return [[token for token, _ in window] for window in windows(prompt, pad=pad, find_embedding=lambda name: None)]


def test_windows_begin_end_and_are_full() -> None:
    [window] = filled("a horse")
    assert window == [START, 320, 4558] + [END] * (LENGTH - 3)
    [window] = filled("a horse", pad=0)
    assert window == [START, 320, 4558, END] + [0] * (LENGTH - 4)
    assert filled("") == [[START] + [END] * (LENGTH - 1)]


def test_a_short_segment_moves_to_the_next_window() -> None:
    first, second = filled("horse " * 73 + "(a red horse:1.2)")
    assert first == [START] + [4558] * 73 + [END] * 3
    assert second[:5] == [START, 320, 736, 4558, END]


def test_a_long_segment_is_split() -> None:
    first, second = filled("horse " * 70 + "(" + "red " * 10 + ":1.2)")
    assert first == [START] + [4558] * 70 + [736] * 5 + [END]
    assert second[:7] == [START] + [736] * 5 + [END]


@given(st.lists(st.sampled_from(["horse", "(red:1.3)", "((a big blue horse))", "on", ","]), max_size=120))
def test_no_token_is_lost(words: list[str]) -> None:
    prompt = " ".join(words)
    made = windows(prompt, pad=END, find_embedding=lambda name: None)
    assert all(len(window) == LENGTH for window in made)
    kept = [(token, weight) for window in made for token, weight in window if token not in (START, END)]
    wanted = [(token, segment.weight) for segment in segments(prompt) for token in tokens_of(segment.text)]
    assert kept == wanted


def test_embeddings_stand_in_for_their_names() -> None:
    vectors = torch.arange(6.0).reshape(2, 3)

    def find(name: str) -> torch.Tensor | None:
        return vectors if name == "cat" else None

    [window] = windows("a (embedding:cat, horse:1.5) embedding:dog", pad=END, find_embedding=find)
    tokens = [token for token, _ in window]
    assert tokens[1] == 320
    assert [token.tolist() for token in tokens[2:4] if isinstance(token, torch.Tensor)] == vectors.tolist()
    assert [weight for _, weight in window[2:6]] == [1.5] * 4
    assert tokens[4:6] == [267, 4558]
    assert tokens[6] == END  # no embedding 'dog': the word is dropped


def test_an_embedding_that_does_not_exist_drops_its_word_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    [window] = windows("a embedding:dog, horse", pad=END, find_embedding=lambda name: None)
    assert [token for token, _ in window][:4] == [START, 320, 267, 4558]  # the comma stays
    assert "ignoring embedding 'dog': it does not exist" in caplog.text
