"""Text encoders against transformers' on the same random weights, and the conditioning that nodes make with them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from safelight.models.checkpoint import load_text_encoders
from safelight.models.text.clip import ClipRecipe
from safelight.models.text.clip_weights import clip_weights
from safelight.models.text.encoder import TextEncoder
from safelight.models.text.encoder_module import ClipText, text_shape
from safelight.models.text.recipe import TextRecipe
from safelight.models.weights import UnknownWeights, weight_file

CONFIG: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 16,
    "intermediate_size": 32,
    "projection_dim": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "hidden_act": "quick_gelu",
}
RECIPE = ClipRecipe(heads=2, activation="quick_gelu", pad=49407, layer=-1, normalises=True)


@pytest.fixture(scope="module")
def theirs() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    torch.manual_seed(0)
    return CLIPTextModelWithProjection(CLIPTextConfig(**CONFIG)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def state(theirs: Any) -> dict[str, torch.Tensor]:
    """Under the names that files use."""
    named = {}
    for name, value in theirs.state_dict().items():
        name = name if name.startswith(("text_model.", "text_projection")) else f"text_model.{name}"
        named[name] = value.contiguous()
    return named


def encoder_of(path: Path, state: dict[str, torch.Tensor], **changes: Any) -> TextEncoder:
    save_file(state, path)
    weights = clip_weights(weight_file(path).weights()).prefixed("clip_l.")
    recipe = ClipRecipe(**{name: getattr(RECIPE, name) for name in RECIPE.__slots__} | changes)
    return TextEncoder(weights, TextRecipe({"l": recipe}))


def ids(encoder: TextEncoder, text: str) -> torch.Tensor:
    return torch.tensor([[token for token, _ in window] for window in encoder.tokenize(text)["l"]])


def test_equals_transformers(theirs: Any, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    encoder = encoder_of(tmp_path / "clip.safetensors", state)
    condition, pooled = encoder.encode(encoder.tokenize("a red horse"))
    tokens = ids(encoder, "a red horse")
    actual = theirs(input_ids=tokens, output_hidden_states=True)
    torch.testing.assert_close(condition, actual.last_hidden_state, rtol=1e-4, atol=1e-5)
    at_end = actual.last_hidden_state[0, tokens[0].tolist().index(49407)]
    torch.testing.assert_close(pooled[0], at_end @ state["text_projection.weight"].T, rtol=1e-4, atol=1e-5)
    for layer in (-1, -2, -3):
        skipped, _ = encoder.with_layer(layer).encode(encoder.tokenize("a red horse"))
        plain = actual.hidden_states[layer]
        norm = torch.nn.functional.layer_norm(
            plain, (16,), state["text_model.final_layer_norm.weight"], state["text_model.final_layer_norm.bias"]
        )
        torch.testing.assert_close(skipped, norm, rtol=1e-4, atol=1e-5)


def test_a_layer_that_is_not_there_is_the_last(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    encoder = encoder_of(tmp_path / "clip.safetensors", state)
    tokens = encoder.tokenize("a horse")
    torch.testing.assert_close(encoder.with_layer(-24).encode(tokens)[0], encoder.encode(tokens)[0])


def test_weights_move_away_from_an_empty_prompt(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    encoder = encoder_of(tmp_path / "clip.safetensors", state)
    plain, _ = encoder.encode(encoder.tokenize("a red horse"))
    weighted, _ = encoder.encode(encoder.tokenize("a (red:1.5) horse"))
    empty, _ = encoder.encode(encoder.tokenize(""))
    expected = plain.clone()
    expected[0, 2] = empty[0, 2] + 1.5 * (plain[0, 2] - empty[0, 2])
    torch.testing.assert_close(weighted, expected)


def test_windows_stand_behind_each_other(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    encoder = encoder_of(tmp_path / "clip.safetensors", state)
    long, pooled = encoder.encode(encoder.tokenize("horse " * 75 + "red"))
    assert long.shape == (1, 154, 16)
    first, first_pooled = encoder.encode(encoder.tokenize("horse " * 75))
    second, _ = encoder.encode(encoder.tokenize("red"))
    torch.testing.assert_close(long, torch.cat((first, second), dim=1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pooled, first_pooled, rtol=1e-4, atol=1e-5)


def test_the_layout_of_open_clip(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """Fused projections, other names, a transposed projection."""
    named = {
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "ln_final.weight": state["text_model.final_layer_norm.weight"],
        "ln_final.bias": state["text_model.final_layer_norm.bias"],
        "text_projection": state["text_projection.weight"].T.contiguous(),
        "logit_scale": torch.zeros(()),
    }
    for layer in range(3):
        ours, other = f"text_model.encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        for kind in ("weight", "bias"):
            parts = [state[f"{ours}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            named[f"{other}.attn.in_proj_{kind}"] = torch.cat(parts)
            for name, spelt in {
                "self_attn.out_proj": "attn.out_proj",
                "layer_norm1": "ln_1",
                "layer_norm2": "ln_2",
                "mlp.fc1": "mlp.c_fc",
                "mlp.fc2": "mlp.c_proj",
            }.items():
                named[f"{other}.{spelt}.{kind}"] = state[f"{ours}.{name}.{kind}"]
    one = encoder_of(tmp_path / "one.safetensors", state)
    other_encoder = encoder_of(tmp_path / "other.safetensors", named)
    tokens = one.tokenize("a red horse")
    for ours_told, theirs_told in zip(one.encode(tokens), other_encoder.encode(tokens), strict=True):
        torch.testing.assert_close(ours_told, theirs_told)


def test_what_packs_call(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    encoder = encoder_of(tmp_path / "clip.safetensors", state)
    tokens = encoder.tokenize("a horse")
    condition, pooled = encoder.encode_from_tokens(tokens, return_pooled=True)
    assert torch.equal(encoder.encode_from_tokens(tokens), condition)  # type: ignore[arg-type]
    [[scheduled, options]] = encoder.encode_from_tokens_scheduled(tokens, add_dict={"width": 3})
    assert torch.equal(scheduled, condition)
    assert torch.equal(options["pooled_output"], pooled)
    assert options["width"] == 3


def test_files_that_are_no_text_encoder(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file({"a.weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(UnknownWeights, match=r"'a\.safetensors' contains no supported text encoder"):
        load_text_encoders([tmp_path / "a.safetensors"], "stable_diffusion")
    save_file(state, tmp_path / "narrow.safetensors")
    with pytest.raises(UnknownWeights, match="16 features wide"):
        load_text_encoders([tmp_path / "narrow.safetensors"], "stable_diffusion")


def test_the_shape_is_read_off_the_names(state: dict[str, torch.Tensor]) -> None:
    shape = text_shape({name: value.shape for name, value in state.items()})
    assert (shape.layers, shape.width, shape.projection, shape.length) == (3, 16, 16, 77)
    module = ClipText(shape, heads=2, activation="gelu")
    assert set(module.state_dict()) == set(state)
