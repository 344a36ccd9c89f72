"""Language models as text encoders."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.models.language.test_decoder import gemma2, qwen3, qwen25, random_weights

from safelight.models.language import architecture
from safelight.models.language.decoder import Decoder
from safelight.models.language.file_names import decoder_kind, decoder_weights
from safelight.models.language.recipe import LanguageRecipe, qwen_recipe
from safelight.models.quant.ggml_file import write_gguf
from safelight.models.text.encoder import TextEncoder
from safelight.models.text.encoder_files import encoder_file
from safelight.models.text.recipe import TextRecipe
from safelight.models.weights import Weights, weight_file


def state_of(model: torch.nn.Module, *, vocabulary: int = 151936) -> dict[str, torch.Tensor]:
    state = {f"model.{name}": value.contiguous() for name, value in random_weights(model).state_dict().items()}
    state["model.embed_tokens.weight"] = torch.randn(vocabulary, 64, generator=torch.Generator().manual_seed(1))
    return state


def file_with(path: Path, tensors: dict[str, torch.Tensor]) -> Weights:
    save_file(tensors, path)
    return decoder_weights(weight_file(path))


def encoder_of(weights: Weights, recipe: LanguageRecipe) -> TextEncoder:
    return TextEncoder(weights.prefixed(f"{recipe.kind}."), TextRecipe({recipe.kind: recipe}))


@torch.no_grad()
def test_a_template_surrounds_the_prompt_and_brackets_are_text(tmp_path: Path) -> None:
    state = state_of(qwen3())
    weights = file_with(tmp_path / "q.safetensors", state)
    recipe = qwen_recipe(
        "qwen3", "Qwen3", architecture.QWEN3, template="<|im_start|>user\n{}<|im_end|>\n", states=(-2,)
    )
    encoder = encoder_of(weights, recipe)
    tokens = encoder.tokenize("a (cat:1.5) \\(x\\)")
    numbers = [token for token, _ in tokens["qwen3"][0]]
    assert numbers[:3] == [151644, 872, 198]
    assert {weight for _, weight in tokens["qwen3"][0]} == {1.0}
    ((hidden, options),) = encoder.encode_from_tokens_scheduled(tokens)
    decoder = Decoder(recipe.build(weights).shape)
    decoder.load_state_dict(state)
    expected = decoder(decoder.embedded(torch.tensor([numbers])), states=[3]).states[3]
    torch.testing.assert_close(hidden, expected, rtol=1e-4, atol=1e-5)
    assert options["attention_mask"].all()
    plain = encoder.tokenize("a (cat:1.5) (x)")
    assert [token for token, _ in plain["qwen3"][0]] == numbers  # an escaped parenthesis is a parenthesis


def test_several_states_lie_side_by_side(tmp_path: Path) -> None:
    weights = file_with(tmp_path / "q.safetensors", state_of(qwen3()))
    hidden = {}
    for states in ((1,), (2,), (1, 2), ()):
        encoder = encoder_of(weights, qwen_recipe("qwen3", "Qwen3", architecture.QWEN3, states=states))
        hidden[states], _ = encoder.encode(encoder.tokenize("a cat"))
    torch.testing.assert_close(hidden[1, 2], torch.cat((hidden[1,], hidden[2,]), dim=-1))
    assert not torch.equal(hidden[()], hidden[2,])


def test_tokens_from_the_first_padding_on_are_masked(tmp_path: Path) -> None:
    weights = file_with(tmp_path / "q.safetensors", state_of(qwen3()))
    encoder = encoder_of(weights, qwen_recipe("qwen3", "Qwen3", architecture.QWEN3, least=6))
    ((_, options),) = encoder.encode_from_tokens_scheduled(encoder.tokenize("a cat"))
    assert options["attention_mask"].tolist() == [[1, 1, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("build", "more", "kind"),
    [
        (qwen3, {}, "qwen3"),
        (qwen3, {"visual.patch_embed.proj.weight": torch.ones(4)}, "qwen3_vl"),
        (qwen25, {}, "qwen25_vl"),
        (gemma2, {}, "gemma2"),
    ],
)
def test_files_are_told_by_the_parts_of_a_layer(
    tmp_path: Path, build: object, more: dict[str, torch.Tensor], kind: str
) -> None:
    state = {**state_of(build(), vocabulary=300), **more}  # type: ignore[operator]
    assert decoder_kind(file_with(tmp_path / "a.safetensors", state)) == kind
    assert encoder_file(weight_file(tmp_path / "a.safetensors")).kind == kind


def test_other_layouts_are_renamed(tmp_path: Path) -> None:
    state = state_of(qwen3(), vocabulary=300)
    other = {name.replace("model.", "model.language_model.", 1): value for name, value in state.items()}
    other["model.visual.pos_embed.weight"] = torch.ones(4)
    weights = file_with(tmp_path / "b.safetensors", other)
    assert set(weights.sources) == {*state, "visual.pos_embed.weight"}
    renamed = {}
    for name, value in state.items():
        for old, new in (
            ("model.layers.", "blk."),
            ("self_attn.o_proj", "attn_output"),
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.q_norm", "attn_q_norm"),
            ("self_attn.k_norm", "attn_k_norm"),
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "ffn_norm"),
            ("mlp.gate_proj", "ffn_gate"),
            ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
            ("model.embed_tokens", "token_embd"),
            ("model.norm", "output_norm"),
        ):
            name = name.replace(old, new)
        renamed[name] = value
    write_gguf(tmp_path / "b.gguf", renamed, formats={"token_embd.weight": "Q8_0"})
    assert set(decoder_weights(weight_file(tmp_path / "b.gguf")).sources) == set(state)
