"""T5 and UMT5 against transformers, and as families use them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.language.test_decoder import random_weights

from safelight.models.language.file_names import t5_weights
from safelight.models.quant.ggml_file import write_gguf
from safelight.models.text.encoder import TextEncoder
from safelight.models.text.encoder_files import encoder_file
from safelight.models.text.recipe import TextRecipe
from safelight.models.text.t5 import T5Encoder, t5_shape
from safelight.models.text.t5_recipe import T5Recipe
from safelight.models.weights import Weights, weight_file

SIZE: dict[str, Any] = {"d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 3, "num_heads": 4}


def t5(**changes: Any) -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(**{**SIZE, "vocab_size": 32128, "feed_forward_proj": "gated-gelu", **changes})
    return random_weights(T5EncoderModel(config))


def umt5() -> Any:
    from transformers import UMT5Config, UMT5EncoderModel

    return random_weights(UMT5EncoderModel(UMT5Config(**SIZE, vocab_size=500, feed_forward_proj="gated-gelu")))


def named(model: Any) -> dict[str, torch.Tensor]:
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    return {name: value for name, value in state.items() if name != "encoder.embed_tokens.weight"}


@torch.no_grad()
@pytest.mark.parametrize("build", [t5, lambda: t5(feed_forward_proj="relu"), umt5], ids=["t5", "first t5", "umt5"])
def test_equals_transformers(build: Any) -> None:
    theirs = build()
    weights = named(theirs)
    ours = T5Encoder(t5_shape({name: value.shape for name, value in weights.items()}))
    ours.load_state_dict(weights)
    tokens = torch.arange(300).reshape(2, 150) % 490
    mask = torch.ones(2, 150, dtype=torch.long)
    mask[1, 40:] = 0
    expected = theirs(tokens, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(ours(ours.embedded(tokens), mask), expected, rtol=1e-4, atol=1e-5)
    expected = theirs(tokens).last_hidden_state
    torch.testing.assert_close(ours(ours.embedded(tokens)), expected, rtol=1e-4, atol=1e-5)


def t5_file(path: Path) -> Weights:
    file = path / "t5.safetensors"
    save_file(named(t5()), file)
    return weight_file(file).weights()


def encoder_of(weights: Weights, recipe: T5Recipe) -> TextEncoder:
    return TextEncoder(weights.prefixed(f"{recipe.kind}."), TextRecipe({recipe.kind: recipe}))


def test_prompts_are_padded_and_weighed_against_the_empty_prompt(tmp_path: Path) -> None:
    encoder = encoder_of(t5_file(tmp_path), T5Recipe(least=20))
    ((plain, options),) = encoder.encode_from_tokens_scheduled(encoder.tokenize("a cat"))
    ((empty, _),) = encoder.encode_from_tokens_scheduled(encoder.tokenize(""))
    ((heavy, _),) = encoder.encode_from_tokens_scheduled(encoder.tokenize("(a:3.0) cat"))
    ((longer, _),) = encoder.encode_from_tokens_scheduled(
        encoder.tokenize("a cat", tokenizer_options={"t5xxl_min_length": 30})
    )
    assert plain.shape == empty.shape == (1, 20, 64)
    assert longer.shape == (1, 30, 64)
    assert options.get("attention_mask") is None
    assert options["pooled_output"] is None
    torch.testing.assert_close(heavy[0, 0], empty[0, 0] + 3 * (plain[0, 0] - empty[0, 0]), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(heavy[0, 5:], plain[0, 5:])


def test_masked_prompts_hide_padding_and_may_zero_it(tmp_path: Path) -> None:
    weights = t5_file(tmp_path)
    masked = encoder_of(weights, T5Recipe(least=20, is_masked=True))
    zeroed = encoder_of(weights, T5Recipe(least=20, is_masked=True, zeroes_padding=True))
    ((hidden, options),) = masked.encode_from_tokens_scheduled(masked.tokenize("a cat"))
    ((zeros, none),) = zeroed.encode_from_tokens_scheduled(zeroed.tokenize("a cat"))
    length = int(options["attention_mask"].sum())
    assert options["attention_mask"].tolist() == [[1] * length + [0] * (20 - length)]
    assert none.get("attention_mask") is None
    torch.testing.assert_close(zeros[0, :length], hidden[0, :length])
    assert not zeros[0, length:].any()


def test_gguf_files_of_t5_are_renamed(tmp_path: Path) -> None:
    renamed = {}
    for name, value in named(t5(d_model=256)).items():
        for old, new in (
            ("encoder.block.", "enc.blk."),
            ("layer.0.SelfAttention.relative_attention_bias", "attn_rel_b"),
            ("layer.0.SelfAttention.", "attn_"),
            ("layer.0.layer_norm", "attn_norm"),
            ("layer.1.layer_norm", "ffn_norm"),
            ("layer.1.DenseReluDense.wi_0", "ffn_gate"),
            ("layer.1.DenseReluDense.wi_1", "ffn_up"),
            ("layer.1.DenseReluDense.wo", "ffn_down"),
            ("shared", "token_embd"),
            ("encoder.final_layer_norm", "enc.output_norm"),
        ):
            name = name.replace(old, new)
        renamed[name] = value
    quantized = {name: "Q4_K" for name, value in renamed.items() if value.dim() == 2 and value.shape[1] == 256}
    write_gguf(tmp_path / "t5.gguf", renamed, formats=quantized)
    weights = t5_weights(weight_file(tmp_path / "t5.gguf"))
    assert set(weights.sources) == set(named(t5()))
    assert encoder_file(weight_file(tmp_path / "t5.gguf")).kind == "t5xxl"
    encoder = encoder_of(weights, T5Recipe(least=4))
    hidden, _ = encoder.encode(encoder.tokenize("a"))
    assert hidden.shape == (1, 4, 256)
    assert hidden.isfinite().all()
