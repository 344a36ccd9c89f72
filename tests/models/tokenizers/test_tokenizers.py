"""Tokens of difficult texts, recorded from ComfyUI 0.8, and where vocabularies are found."""

import base64
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from safelight.models.tokenizers.byte_pairs import qwen, tekken
from safelight.models.tokenizers.finding import tokenizer_of
from safelight.models.tokenizers.json_file import t5
from safelight.models.tokenizers.tokenizer import MissingTokenizer
from safelight.models.weights import Weights, weight_file

RECORDED = json.loads(Path(__file__).with_name("tokens.json").read_text())


@pytest.mark.parametrize("name", ["qwen", "t5", "umt5"])
def test_tokens_are_those_of_comfyui(name: str) -> None:
    if name == "umt5":
        pytest.importorskip("sentencepiece")
    from safelight.models.tokenizers.sentence_pieces import umt5

    tokenizer = {"qwen": qwen, "t5": t5, "umt5": umt5}[name]()
    assert {case["text"]: tokenizer.encode(case["text"]) for case in RECORDED} == {
        case["text"]: case[name] for case in RECORDED
    }


def test_qwen_gives_the_text_back() -> None:
    text = "日本語 😀 it's <think>fine</think>\n\n  x"
    assert qwen().decode(qwen().encode(text)) == text
    assert qwen().decode([*qwen().encode("<|im_start|>"), 64]) == "a"


def tekken_file() -> bytes:
    """The bytes, and some merges by rank; two special tokens."""
    tokens = [bytes([number]) for number in range(256)] + [b"ab", b"abc", b"bc", b" a"]
    vocab = [{"rank": rank, "token_bytes": base64.b64encode(token).decode()} for rank, token in enumerate(tokens)]
    special = [{"rank": 1, "token_str": "<s>"}, {"rank": 0, "token_str": "<unk>"}]
    config = {"default_vocab_size": len(tokens) + 1, "pattern": r" ?\p{L}+|[^\p{L}]"}
    return json.dumps({"config": config, "vocab": vocab, "special_tokens": special}).encode()


def test_a_tekken_vocabulary_merges_by_rank_after_its_special_tokens() -> None:
    tokenizer = tekken(tekken_file())
    assert tokenizer.encode("<s>abc bc") == [1, 2 + 257, 2 + 32, 2 + 258]  # " bc" has no rank: " ", "bc"
    assert tokenizer.encode("aé") == [2 + 97, 2 + 0xC3, 2 + 0xA9]
    assert tokenizer.encode(" a") == [2 + 32, 2 + 97]  # beyond the size of the vocabulary
    with pytest.raises(ValueError, match="no tekken vocabulary"):
        tekken(b"{}")


def weights_in(path: Path, **more: torch.Tensor) -> Weights:
    save_file({"model.norm.weight": torch.ones(4), **more}, path)
    return weight_file(path).weights()


def test_a_vocabulary_is_found_in_the_file_beside_it_or_in_the_package(tmp_path: Path) -> None:
    packed = torch.frombuffer(bytearray(tekken_file()), dtype=torch.uint8)
    inside = weights_in(tmp_path / "inside.safetensors", tekken_model=packed)
    assert tokenizer_of(inside, title="Mistral").encode("abc") == [2 + 257]
    plain = weights_in(tmp_path / "plain.safetensors")
    assert tokenizer_of(plain, title="Qwen", otherwise=qwen).encode("a") == [64]
    (tmp_path / "plain.tekken.json").write_bytes(tekken_file())
    assert tokenizer_of(plain, title="Mistral").encode("abc") == [2 + 257]


def test_a_missing_vocabulary_says_which_file_to_add(tmp_path: Path) -> None:
    with pytest.raises(
        MissingTokenizer, match=r"'m.safetensors' has no vocabulary .* add the tokenizer.json or .* of X"
    ):
        tokenizer_of(weights_in(tmp_path / "m.safetensors"), title="X")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(MissingTokenizer, match=r"'tokenizer.json' beside 'm.safetensors' cannot be read"):
        tokenizer_of(weights_in(tmp_path / "m.safetensors"), title="X")
