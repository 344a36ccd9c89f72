"""The decoder against transformers, on the same random weights."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from safelight.models.language import architecture
from safelight.models.language.architecture import LanguageArchitecture, decoder_shape
from safelight.models.language.cache import KeyValueCache
from safelight.models.language.decoder import Decoder

SIZE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "attn_implementation": "eager",
    "tie_word_embeddings": True,
}


def random_weights(model: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    for name, value in model.named_parameters():
        value.data = torch.randn(value.shape, generator=generator) * 0.1 + (0.5 if "norm" in name else 0.0)
    return model.eval()


def qwen3() -> Any:
    from transformers import Qwen3Config, Qwen3Model

    return Qwen3Model(Qwen3Config(**SIZE, rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0}))


def qwen25() -> Any:
    from transformers import Qwen2Config, Qwen2Model

    return Qwen2Model(Qwen2Config(**SIZE, rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0}))


def mistral() -> Any:
    from transformers import MistralConfig, MistralModel

    rope = {"rope_type": "default", "rope_theta": 1_000_000_000.0}
    return MistralModel(MistralConfig(**SIZE, rms_norm_eps=1e-5, sliding_window=None, rope_parameters=rope))


def llama() -> Any:
    from transformers import LlamaConfig, LlamaModel

    rope = {"rope_type": "default", "rope_theta": 500_000.0}
    return LlamaModel(LlamaConfig(**SIZE, rms_norm_eps=1e-5, rope_parameters=rope))


def gemma2() -> Any:
    from transformers import Gemma2Config, Gemma2Model

    config = Gemma2Config(**SIZE, query_pre_attn_scalar=16, sliding_window=4096, attn_logit_softcapping=None)
    return Gemma2Model(config)


def gemma3() -> Any:
    from transformers import Gemma3TextConfig, Gemma3TextModel

    size = {**SIZE, "num_hidden_layers": 7}
    config = Gemma3TextConfig(
        **size,
        query_pre_attn_scalar=16,
        sliding_window=6,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 1_000_000.0, "factor": 8.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
    )
    return Gemma3TextModel(config)


GEMMA2 = replace(architecture.GEMMA2, head_width=16)
CASES = {
    "qwen3": (qwen3, architecture.QWEN3),
    "qwen25": (qwen25, replace(architecture.QWEN25, head_width=16)),
    "mistral": (mistral, replace(architecture.MISTRAL3, head_width=16)),
    "llama": (llama, replace(architecture.LLAMA3, head_width=16)),
    "gemma2": (gemma2, GEMMA2),
    "gemma3": (gemma3, replace(architecture.GEMMA3, windows=(6,) * 5 + (0,))),
}
TOKENS = torch.arange(22).reshape(2, 11) * 13 % 300


def decoder_with(model: torch.nn.Module, values: LanguageArchitecture) -> Decoder:
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    made = Decoder(decoder_shape({name: value.shape for name, value in weights.items()}, values))
    made.load_state_dict(weights)
    return made.eval()


@torch.no_grad()
@pytest.mark.parametrize("name", CASES)
def test_equals_transformers(name: str) -> None:
    build, values = CASES[name]
    theirs = random_weights(build())
    ours = decoder_with(theirs, values)
    expected = theirs(TOKENS, output_hidden_states=True, use_cache=False)
    found = ours(ours.embedded(TOKENS), states=range(5))
    torch.testing.assert_close(found.final, expected.last_hidden_state, rtol=1e-4, atol=1e-5)
    for state in range(1, 4):
        torch.testing.assert_close(found.states[state], expected.hidden_states[state], rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["qwen3", "gemma3"])
def test_padding_changes_nothing(name: str) -> None:
    build, values = CASES[name]
    ours = decoder_with(random_weights(build()), values)
    short = ours(ours.embedded(TOKENS[:1, :7])).final
    mask = torch.tensor([[1] * 7 + [0] * 4])
    padded = ours(ours.embedded(TOKENS[:1]), mask=mask).final
    torch.testing.assert_close(padded[:, :7], short, rtol=1e-4, atol=1e-5)
    hidden = ours(ours.embedded(TOKENS[:1]), mask=torch.zeros(1, 11)).final
    assert not hidden.isnan().any()


@torch.no_grad()
@pytest.mark.parametrize("name", ["qwen3", "qwen25", "gemma3"])
def test_tokens_after_cached_ones_equal_a_single_pass(name: str) -> None:
    build, values = CASES[name]
    ours = decoder_with(random_weights(build()), values)
    embedded = ours.embedded(TOKENS)
    cache = KeyValueCache()
    parts = [ours(embedded[:, start:end], cache=cache).final for start, end in ((0, 5), (5, 6), (6, 11))]
    assert cache.length == 11
    torch.testing.assert_close(torch.cat(parts, dim=1), ours(embedded).final, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_scores_come_from_the_embeddings_or_from_a_layer_of_their_own() -> None:
    ours = decoder_with(random_weights(qwen3()), architecture.QWEN3)
    final = torch.randn(1, 64)
    torch.testing.assert_close(ours.logits(final), final @ ours.model.embed_tokens.weight.T)
    headed = Decoder(replace(ours.shape, has_head=True))
    headed.load_state_dict({**ours.state_dict(), "lm_head.weight": torch.ones(300, 64)})
    torch.testing.assert_close(headed.logits(final), final.sum().expand(1, 300), rtol=1e-4, atol=1e-4)


def test_positions_with_three_axes_take_turns_or_lie_in_sections() -> None:
    positions = torch.stack((torch.full((4,), 1.0), torch.full((4,), 2.0), torch.full((4,), 3.0)))
    sections = replace(architecture.QWEN25_VL.rotary[0], theta=1.0)
    turned, _ = sections.angles(positions, 128)
    axes = torch.cat([torch.full((count,), float(axis)) for axis, count in ((1, 16), (2, 24), (3, 24))])
    torch.testing.assert_close(turned[0, :64], axes.cos())
    interleaved = replace(architecture.QWEN3_VL.rotary[0], theta=1.0)
    turned, _ = interleaved.angles(positions, 128)
    axes = torch.tensor([1.0, 2.0, 3.0] * 20 + [1.0] * 4)
    torch.testing.assert_close(turned[0, :64], axes.cos())
