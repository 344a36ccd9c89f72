"""Language models that write: against transformers, by seed, and as a node."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.language.test_decoder import SIZE, random_weights
from tests.nodes.context import FolderContext

from safelight.models.checkpoint import load_text_encoders
from safelight.models.inputs import WrongConditioning
from safelight.models.language.chat import CHATS, without_thoughts
from safelight.models.language.picture_recipe import CannotSee
from safelight.models.language.token_choice import TokenSampling, choose_token
from safelight.models.language.writer import NotALanguageModel, Question, Writer, writer_of
from safelight.models.lora.changes import AdditivePatch, FullDifference
from safelight.models.miniatures.writing import write_miniature
from safelight.models.text.encoder import TextEncoder
from safelight.models.text.recipe import TextRecipe
from safelight.models.text.t5_recipe import T5Recipe
from safelight.models.tokenizers.byte_pairs import qwen
from safelight.models.tokenizers.tokenizer import MissingTokenizer
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import Weights
from safelight.nodes.text.generate import CannotHear, TextGenerate
from safelight.sdk import Cancelled

OFF = {"sampling_mode": "off"}
ON = {
    "sampling_mode": "on",
    "temperature": 1.0,
    "top_k": 64,
    "top_p": 0.95,
    "min_p": 0.0,
    "repetition_penalty": 1.05,
    "seed": 7,
}


def language_model(*, tied: bool) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    size = {**SIZE, "vocab_size": 151936, "tie_word_embeddings": tied, "num_hidden_layers": 2}
    rope = {"rope_type": "default", "rope_theta": 1_000_000.0}
    return random_weights(Qwen3ForCausalLM(Qwen3Config(**size, rope_parameters=rope)))


def writer_with(model: Any, path: Path) -> Writer:
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    save_file(state, path / "qwen_3_4b.safetensors")
    return writer_of(load_text_encoders([path / "qwen_3_4b.safetensors"], "lumina2"))


def last(writer: Writer, question: Question, *, length: int = 12, **sampling: Any) -> str:
    answers = list(writer.write(question, sampling=TokenSampling(**sampling), seed=3, length=length))
    assert len(answers) <= length
    return answers[-1] if answers else ""


@torch.no_grad()
@pytest.mark.parametrize("tied", [True, False])
def test_the_most_likely_answer_is_that_of_transformers(tmp_path: Path, tied: bool) -> None:
    model = language_model(tied=tied)
    writer = writer_with(model, tmp_path)
    prompt = CHATS["qwen3"].prompt("What is it?", system="Be brief.", thinking=False)
    assert prompt == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is it?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    tokens = torch.tensor([qwen().encode(prompt)])
    made = model.generate(tokens, max_new_tokens=12, do_sample=False, eos_token_id=[151645, 151643], pad_token_id=0)
    expected = qwen().decode([token for token in made[0, tokens.shape[1] :].tolist() if token not in (151645, 151643)])
    assert last(writer, Question("What is it?", system="Be brief.")) == expected


def test_equal_seeds_write_equal_texts_and_layers_change_them(tmp_path: Path) -> None:
    writer = writer_with(language_model(tied=True), tmp_path)
    drawn = [last(writer, Question("x"), temperature=1.0, top_k=50) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != last(writer, Question("x", has_template=False), temperature=1.0, top_k=50)
    name = "qwen3.model.layers.0.mlp.down_proj.weight"
    layer = WeightLayer("l", {name: AdditivePatch(FullDifference(torch.randn(64, 96)))})
    changed = Writer(writer.encoder.with_layers(layer), writer.key, writer.recipe)
    assert last(changed, Question("x")) != last(writer, Question("x"))


def test_layers_reach_a_model_with_a_last_layer_of_its_own(tmp_path: Path) -> None:
    writer = writer_with(language_model(tied=False), tmp_path)
    name = "qwen3.lm_head.weight"
    layer = WeightLayer("l", {name: AdditivePatch(FullDifference(torch.randn(151936, 64)))})
    changed = Writer(writer.encoder.with_layers(layer), writer.key, writer.recipe)
    assert last(changed, Question("x"), length=4) != last(writer, Question("x"), length=4)


def test_an_answer_ends_at_the_models_end(tmp_path: Path) -> None:
    model = language_model(tied=False)
    model.lm_head.weight.data[151645] = 0.0
    model.lm_head.weight.data[151645] += 100 * torch.sign(model.model.norm.weight.data)
    writer = writer_with(model, tmp_path)
    rows = [last(writer, Question(text), length=40) for text in ("a", "b", "c", "d", "e", "f")]
    assert any(len(qwen().encode(row)) < 40 for row in rows)


def draw(scores: list[float], sampling: TokenSampling, *, written: tuple[int, ...] = ()) -> set[int]:
    generator = torch.Generator().manual_seed(0)
    return {choose_token(torch.tensor(scores), written, sampling, generator) for _ in range(300)}


def test_tokens_are_chosen_among_the_likely_ones() -> None:
    scores = [0.0, 3.0, 2.0, 1.0]
    assert draw(scores, TokenSampling()) == {1}
    assert draw(scores, TokenSampling(temperature=2.0)) == {0, 1, 2, 3}
    assert draw(scores, TokenSampling(temperature=2.0, top_k=2)) == {1, 2}
    assert draw(scores, TokenSampling(temperature=1.0, top_p=0.7)) == {1, 2}  # 0.64, 0.24
    assert draw(scores, TokenSampling(temperature=1.0, top_p=0.0)) == {1}
    assert draw(scores, TokenSampling(temperature=1.0, min_p=0.3)) == {1, 2}
    assert draw(scores, TokenSampling(repetition=2.0), written=(1,)) == {2}
    assert draw([-1.0, -1.5], TokenSampling(repetition=2.0), written=(0, 0)) == {1}
    assert draw(scores, TokenSampling(presence=1.5), written=(1,)) == {2}


def test_thoughts_are_apart_from_the_answer() -> None:
    assert without_thoughts("<think>\nhm\n</think>\n\nYes.") == ("Yes.", "hm")
    assert without_thoughts("Yes <think>") == ("Yes <think>", "")
    assert CHATS["qwen3"].prompt("x", system="", thinking=True).endswith("assistant\n")
    assert CHATS["gemma3"].prompt("x", system="s", thinking=False) == (
        "<start_of_turn>user\ns\n\nx<end_of_turn>\n<start_of_turn>model\n"
    )


def test_other_text_encoders_cannot_write(tmp_path: Path) -> None:
    encoder = TextEncoder(Weights({}), TextRecipe({"t5xxl": T5Recipe()}))
    with pytest.raises(NotALanguageModel, match=r"\(t5xxl\) cannot write text"):
        writer_of(encoder)


def test_the_node_shows_the_text_while_it_is_written(tmp_path: Path) -> None:
    list(write_miniature("z-image-turbo", tmp_path))
    encoder = load_text_encoders([tmp_path / "text_encoders" / "qwen_3_4b.safetensors"], "lumina2")
    with FolderContext(tmp_path).running() as run:
        text, thoughts = TextGenerate.execute(encoder, "a cat", 5, ON).values
        again, _ = TextGenerate.execute(encoder, "a cat", 5, ON).values
        plain, _ = TextGenerate.execute(encoder, "a cat", 5, OFF).values
    assert (text, thoughts) == (again, "")
    assert plain != text
    assert run.texts[4] == text
    assert run.steps[:5] == [(count, 5) for count in range(1, 6)]
    with FolderContext(tmp_path / "b", cancel_after=2).running() as run, pytest.raises(Cancelled):
        TextGenerate.execute(encoder, "a cat", 5, OFF)
    with pytest.raises(CannotSee, match="Qwen3 cannot see pictures"):
        TextGenerate.execute(encoder, "a cat", 5, OFF, image=torch.rand(1, 56, 56, 3))
    with pytest.raises(CannotHear, match="'audio'"):
        TextGenerate.execute(encoder, "a cat", 5, OFF, audio={})


@pytest.mark.parametrize(
    ("miniature", "name", "type"),
    [
        ("qwen3.5", "qwen3.5_4b_bf16.safetensors", "stable_diffusion"),
        ("qwen3vl", "qwen3vl_4b_fp8_scaled.safetensors", "ideogram4"),
    ],
)
def test_models_write_under_types_of_the_loader_that_are_not_theirs(
    tmp_path: Path, miniature: str, name: str, type: str
) -> None:
    list(write_miniature(miniature, tmp_path))
    encoder = load_text_encoders([tmp_path / "text_encoders" / name], type)
    images = torch.rand(2, 256, 256, 3)
    with FolderContext(tmp_path).running() as run:
        texts = {
            TextGenerate.execute(encoder, "what?", 6, ON, **given).values[0]
            for given in ({}, {"image": images}, {"image": images[:1]}, {"system_prompt": "Be brief."})
        }
        assert len(texts) == 4
        TextGenerate.execute(encoder, "what?", 2, ON, thinking=True)
    assert run.texts[-1].startswith("<think>\n") == (miniature == "qwen3.5")
    with pytest.raises(WrongConditioning, match=f"'{name}' is Qwen3.*; text encoders of type '{type}' are"):
        encoder.encode(encoder.tokenize("a cat"))


def test_a_missing_vocabulary_is_named(tmp_path: Path) -> None:
    list(write_miniature("qwen3.5", tmp_path))
    path = tmp_path / "text_encoders" / "qwen3.5_4b_bf16.safetensors"
    path.with_name("qwen3.5_4b_bf16.tokenizer.json").unlink()
    writer = writer_of(load_text_encoders([path], "flux3"))
    with pytest.raises(MissingTokenizer, match=r"add the tokenizer.json or .* of Qwen3.5 to its folder"):
        last(writer, Question("x"))


def test_a_model_that_sees_writes_about_pictures_and_frames(tmp_path: Path) -> None:
    list(write_miniature("qwen-image", tmp_path))
    encoder = load_text_encoders([tmp_path / "text_encoders" / "qwen_2.5_vl_7b_fp8_scaled.safetensors"], "qwen_image")
    image = torch.rand(1, 56, 84, 3)
    with FolderContext(tmp_path).running():
        texts = {
            TextGenerate.execute(encoder, "what?", 6, OFF, **given).values[0]
            for given in ({}, {"image": image}, {"image": 1 - image}, {"video": torch.rand(49, 56, 56, 3)})
        }
    assert len(texts) == 4
