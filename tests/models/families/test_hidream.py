"""HiDream: detection, its experts, and how the outputs of its text encoders are joined."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks.against_comfyui.families import ARCHITECTURES, write_weights

from safelight.models.checkpoint import load_diffusion_model
from safelight.models.families.hidream.experts import Experts, ExpertsShape
from safelight.models.families.hidream.hidream_module import HiDreamInputs
from safelight.models.families.hidream.text import HIDREAM_TEXT, joined
from safelight.models.inputs import WrongConditioning
from safelight.models.language.architecture import LLAMA3, decoder_shape
from safelight.models.language.decoder import Decoder
from safelight.models.stored_network import StoredNetwork
from safelight.models.text.recipe import Encoding


def test_depth_and_width_are_read_from_the_file(tmp_path: Path) -> None:
    network = load_diffusion_model(write_weights("hidream", tmp_path)).network
    assert isinstance(network, StoredNetwork)
    assert network.architecture == ARCHITECTURES["hidream"]
    shape, cpu = torch.Size((1, 16, 4, 4)), torch.device("cpu")
    context = torch.zeros(1, 5, 4096)
    with pytest.raises(WrongConditioning, match="load its text encoders with type 'hidream'"):
        network.prepare_inputs(context, {"pooled_output": torch.zeros(1, 2048)}, shape=shape, device=cpu)
    options = {"pooled_output": torch.zeros(1, 2048), "conditioning_llama3": torch.ones(1, 3, 4, 4096)}
    made = network.prepare_inputs(context, options, shape=shape, device=cpu)
    assert isinstance(made, HiDreamInputs)
    assert made.language.shape == (1, 3, 4, 4096)


@torch.no_grad()
def test_each_token_uses_two_experts_and_the_shared_one() -> None:
    torch.manual_seed(0)
    experts = Experts(ExpertsShape(8, count=4, inner=16, shared=12))
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter)
    hidden = torch.randn(2, 3, 8)
    made = experts(hidden)
    token = hidden[1, 2]
    shares = (experts.gate.weight @ token).softmax(0)
    best = shares.argsort(descending=True)[:2]
    expected = experts.shared_experts(token) + sum(shares[i] * experts.experts[int(i)](token) for i in best)
    torch.testing.assert_close(made[1, 2], expected, rtol=1e-4, atol=1e-4)


def test_encoders_that_are_missing_are_zeros() -> None:
    made = joined({"g": Encoding(torch.zeros(1, 77, 1280), pooled=torch.ones(1, 1280))})
    assert made.hidden.shape == (1, 128, 4096)
    assert made.options["conditioning_llama3"].shape == (1, 32, 1, 4096)
    assert made.pooled is not None
    assert made.pooled[0, [767, 768]].tolist() == [0.0, 1.0]


@torch.no_grad()
def test_llama_gives_the_output_of_every_layer() -> None:
    recipe = HIDREAM_TEXT.encoders["llama"]
    shapes = {"model.embed_tokens.weight": torch.Size((100, 32)), "model.norm.weight": torch.Size((32,))}
    for layer in range(3):
        for name, shape in LAYER.items():
            shapes[f"model.layers.{layer}.{name}.weight"] = torch.Size(shape)
    torch.manual_seed(0)
    module = Decoder(replace(decoder_shape(shapes, LLAMA3))).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    window = [(token, 1.0) for token in (3, 5, 7)]
    encoding = recipe.encode(module, [window], layer=None, device=torch.device("cpu"))
    layers = joined({"llama": encoding}).options["conditioning_llama3"]
    assert layers.shape == (1, 3, 3, 32)
    output = module(module.embedded(torch.tensor([[3, 5, 7]])), states=[1, 2])
    torch.testing.assert_close(layers[0, 0], output.states[1][0])
    torch.testing.assert_close(layers[0, 1], output.states[2][0])
    torch.testing.assert_close(layers[0, 2], output.final[0])


LAYER = {
    "self_attn.q_proj": (128, 32),
    "self_attn.k_proj": (128, 32),
    "self_attn.v_proj": (128, 32),
    "self_attn.o_proj": (32, 128),
    "mlp.gate_proj": (64, 32),
    "mlp.up_proj": (64, 32),
    "mlp.down_proj": (32, 64),
    "input_layernorm": (32,),
    "post_attention_layernorm": (32,),
}
