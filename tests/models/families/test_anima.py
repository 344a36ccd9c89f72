"""Anima: its files, its text in two vocabularies, and LLLite controls."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from safelight.models.checkpoint import load_diffusion_model, load_text_encoders
from safelight.models.control.model_patch import EnteringPatch, load_model_patch
from safelight.models.families.anima.network import AnimaInputs
from safelight.models.inputs import WrongConditioning
from safelight.models.miniatures.writing import miniature_files, write_file
from safelight.models.network_hooks import NetworkHooks

NETWORK = "anima-base-v1.0.safetensors"


def written(name: str, folder: Path) -> Path:
    (file,) = (one for one in miniature_files() if one.name == name)
    write_file(folder / name, file)
    return folder / name


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(NETWORK, tmp_path_factory.mktemp("weights"))


def predicted(path: Path, inputs: AnimaInputs, hooks: NetworkHooks | None = None) -> torch.Tensor:
    x = torch.randn(1, 16, 1, 6, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode(), load_diffusion_model(path).network.session() as predict:
        return predict(x, torch.tensor([0.7]), inputs, hooks=hooks)


def test_files_with_the_first_publications_prefix_are_the_same(network: Path, tmp_path: Path) -> None:
    save_file({f"net.{name}": value for name, value in load_file(network).items()}, tmp_path / "old.safetensors")
    inputs = AnimaInputs(torch.randn(1, 5, 256), torch.tensor([[3, 9, 1]]))
    assert torch.equal(predicted(network, inputs), predicted(tmp_path / "old.safetensors", inputs))


def test_weights_of_a_prompt_act_on_the_tokens_of_t5(tmp_path: Path) -> None:
    encoder = load_text_encoders([written("qwen_3_06b_base.safetensors", tmp_path)], "stable_diffusion")
    ((plain, more),) = encoder.encode_from_tokens_scheduled(encoder.tokenize("a (red:1.3) horse"))
    assert more["t5xxl_weights"].tolist().count(pytest.approx(1.3)) == 1
    assert more["t5xxl_ids"][-1] == 1
    ((heavier, _),) = encoder.encode_from_tokens_scheduled(encoder.tokenize("a (red:1.7) horse"))
    assert torch.equal(plain, heavier)


def test_tokens_and_their_weights_change_the_prediction(network: Path) -> None:
    states, tokens = torch.randn(1, 5, 256), torch.tensor([[3, 9, 1]])
    plain = predicted(network, AnimaInputs(states, tokens))
    assert plain.shape == (1, 16, 1, 6, 8)
    assert not torch.equal(predicted(network, AnimaInputs(states, torch.tensor([[3, 8, 1]]))), plain)
    weights = torch.tensor([[1.0, 2.0, 1.0]])
    assert not torch.equal(predicted(network, AnimaInputs(states, tokens, weights)), plain)
    assert torch.equal(predicted(network, AnimaInputs(states, tokens, torch.ones(1, 3))), plain)


def test_another_text_encoders_embeddings_are_refused(network: Path) -> None:
    with pytest.raises(WrongConditioning, match="256 features"):
        load_diffusion_model(network).network.prepare_inputs(
            torch.zeros(1, 5, 768), {}, shape=torch.Size((1, 16, 1, 6, 8)), device=torch.device("cpu")
        )


@pytest.mark.parametrize("name", ["anima-lllite-any-test-like-v2", "anima-lllite-inpainting-v2"])
def test_an_lllite_control_changes_the_prediction_with_its_strength(name: str, network: Path, tmp_path: Path) -> None:
    patch = load_model_patch(written(f"{name}.safetensors", tmp_path))
    assert isinstance(patch, EnteringPatch)
    inputs = AnimaInputs(torch.ones(1, 5, 256), torch.tensor([[3, 9, 1]]))
    image = torch.rand(1, 40, 80, 3, generator=torch.Generator().manual_seed(2))
    mask = (torch.arange(80) > 40).float().expand(1, 40, 80)

    def under(strength: float, mask: torch.Tensor | None = None) -> torch.Tensor:
        return predicted(network, inputs, NetworkHooks(entering=(patch.entering_hook(image, mask, strength),)))

    plain = predicted(network, inputs)
    assert torch.equal(under(0.0), plain)
    half, whole = under(0.5) - plain, under(1.0) - plain
    assert 0 < half.norm() < whole.norm()
    assert torch.equal(under(1.0, mask) - plain, whole) != patch.takes_mask
