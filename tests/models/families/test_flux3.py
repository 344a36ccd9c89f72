"""FLUX.3 Image klein: the network against diffusers, its prompt, and graphs on miniature weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.vision_tower.test_qwen3 import ours, qwen3_vl
from tests.nodes.context import FolderContext
from tests.nodes.graphs import Graph, run_graph

from safelight.models.checkpoint import load_diffusion_model, load_text_encoders
from safelight.models.families.flux3.network import Flux3, Flux3Inputs, Flux3Shape, flux3_shape
from safelight.models.families.flux3.text import FLUX3_TEXT, ROW, STATES
from safelight.models.inputs import WrongConditioning
from safelight.models.language.architecture import LanguageArchitecture
from safelight.models.language.rotary import Rotary
from safelight.models.miniatures.writing import random_weights, write_miniature
from safelight.nodes.conditioning.reference_pictures import ReferenceMultiLatent
from safelight.nodes.text.layout_prompt import Flux3LayoutPrompt

SHAPE = Flux3Shape(
    channels=8, reference_channels=8, context=40, width=256, inner=768, apart=2, joint=2, is_flow_map=False
)


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def far(made: torch.Tensor, expected: torch.Tensor) -> float:
    return float((made - expected).norm() / expected.norm())


X, LEVEL, CONTEXT = random(2, 8, 4, 6, seed=1), torch.tensor([0.8, 0.8]), random(2, 7, 40, seed=2)
REFERENCES = (random(2, 8, 3, 5, seed=3), random(2, 8, 4, 4, seed=4))


@torch.no_grad()
@pytest.mark.parametrize("references", [(), REFERENCES])
@pytest.mark.parametrize("is_flow_map", [False, True])
def test_the_network_equals_diffusers(is_flow_map: bool, references: tuple[torch.Tensor, ...]) -> None:
    from diffusers import Flux3Transformer2DModel
    from diffusers.loaders.single_file_utils import convert_flux3_transformer_checkpoint_to_diffusers
    from diffusers.modular_pipelines.flux3.before_denoise import _prepare_image_ids

    network = Flux3(replace(SHAPE, is_flow_map=is_flow_map)).eval()
    network.load_state_dict(random_weights(network))
    state = network.state_dict()
    assert flux3_shape({name: value.shape for name, value in state.items()}).is_flow_map == is_flow_map
    theirs = Flux3Transformer2DModel(
        in_channels=8,
        cond_in_channels=8,
        num_layers=2,
        num_single_layers=2,
        num_attention_heads=2,
        joint_attention_dim=40,
        flow_map=is_flow_map,
    ).eval()
    theirs.load_state_dict(convert_flux3_transformer_checkpoint_to_diffusers(dict(state)))
    in_text = torch.zeros(7, 4)
    in_text[:, 3] = torch.arange(7)
    more: dict[str, Any] = {"target_timestep": torch.tensor([0.5, 0.5])} if is_flow_map else {}
    if references:
        more["image_cond_hidden_states"] = torch.cat([one.flatten(2).transpose(1, 2) for one in references], dim=1)
        places = [_prepare_image_ids(*one.shape[-2:], 0.5, l_coord=-1 - n) for n, one in enumerate(references)]
        more["image_cond_ids"] = torch.cat(places)
    expected = theirs(
        hidden_states=X.flatten(2).transpose(1, 2),
        encoder_hidden_states=CONTEXT,
        timestep=LEVEL,
        img_ids=_prepare_image_ids(4, 6, 0.5),
        txt_ids=in_text,
        **more,
    ).sample
    made = network(X, LEVEL, Flux3Inputs(CONTEXT, references, (1.0, 0.8, 0.5, 0.0)))
    assert far(made, expected.transpose(1, 2).reshape(X.shape)) < 1e-5


@torch.no_grad()
def test_a_prompt_is_filled_up_as_in_diffusers() -> None:
    theirs = qwen3_vl()
    architecture = LanguageArchitecture("Qwen3-VL", (Rotary(5_000_000.0, sections=(6, 5, 5), interleaves=True),))
    recipe = replace(
        FLUX3_TEXT.encoders["qwen3vl_4b"],
        special=replace(FLUX3_TEXT.encoders["qwen3vl_4b"].special, pad=0),
        states=(2, 4),
    )  # type: ignore[type-var, attr-defined]
    tokens = [3, 5, 7, 9, 11] + [0] * 7
    mask = torch.tensor([[1] * 5 + [0] * 7])
    positions = torch.arange(12)[None].masked_fill(mask == 0, 1)
    output = theirs(
        input_ids=torch.tensor([tokens]), attention_mask=mask, position_ids=positions, output_hidden_states=True
    )
    expected = torch.cat([output.hidden_states[state] for state in (2, 4)], dim=-1)
    made, _ = recipe.read(ours(theirs, architecture), tokens, None, torch.device("cpu"))  # type: ignore[attr-defined]
    assert far(made, expected) < 1e-5


def call(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def graph(network: str, *, positive: list[Any], latent: list[Any], **more: Any) -> Graph:
    return {
        "network": call("UNETLoader", unet_name=network, weight_dtype="default"),
        "clip": call("CLIPLoader", clip_name="qwen3vl_4b_int8_convrot.safetensors", type="flux3"),
        "vae": call("VAELoader", vae_name="flux2-vae.safetensors"),
        "prompt": call("CLIPTextEncode", clip=["clip", 0], text="a red horse"),
        "empty": call("EmptyFlux2LatentImage", width=64, height=48, batch_size=1),
        "sampled": call(
            "KSampler",
            model=["network", 0],
            seed=3,
            steps=2,
            cfg=1.0,
            sampler_name="euler",
            scheduler="simple",
            denoise=1.0,
            positive=positive,
            negative=["prompt", 0],
            latent_image=latent,
        ),
        "picture": call("VAEDecode", samples=["sampled", 0], vae=["vae", 0]),
        **more,
    }


def picture_of(root: Path, made: Graph) -> torch.Tensor:
    with FolderContext(root).running():
        (picture,) = run_graph(made)["picture"]
    assert isinstance(picture, torch.Tensor)
    assert picture.isfinite().all()
    return picture


def test_graphs_from_text_and_for_edits(tmp_path: Path) -> None:
    list(write_miniature("flux3-klein", tmp_path / "models"))
    edit = {
        "red": call("EmptyImage", width=64, height=32, batch_size=1, color=0xFF0000),
        "blue": call("EmptyImage", width=32, height=32, batch_size=1, color=255),
        "references": call(
            "ReferenceMultiLatent",
            positive=["prompt", 0],
            vae=["vae", 0],
            resolution={"resolution": "keep resolution"},
            **{"images.image0": ["red", 0], "images.image1": ["blue", 0]},
        ),
    }
    for name in ("flux3-image-klein-base-int8-convrot.safetensors", "flux3-image-klein-int8-convrot.safetensors"):
        plain = graph(name, positive=["prompt", 0], latent=["empty", 0])
        made = picture_of(tmp_path, plain)
        assert made.shape == (1, 48, 64, 3)
        assert torch.equal(picture_of(tmp_path, plain), made)
        edited = picture_of(tmp_path, graph(name, positive=["references", 0], latent=["references", 2], **edit))
        assert edited.shape == (1, 32, 64, 3)


def test_prompts_have_eight_states_in_whole_rows_and_errors_say_what_is_wrong(tmp_path: Path) -> None:
    list(write_miniature("flux3-klein", tmp_path))
    encoder = load_text_encoders([tmp_path / "text_encoders" / "qwen3vl_4b_int8_convrot.safetensors"], "flux3")
    ((context, options),) = encoder.encode_from_tokens_scheduled(encoder.tokenize("a cat"))
    assert context.shape == (1, ROW, len(STATES) * 256)
    model = load_diffusion_model(tmp_path / "diffusion_models" / "flux3-image-klein-int8-convrot.safetensors")
    more = {"shape": torch.Size((1, 128, 4, 4)), "device": torch.device("cpu")}
    assert model.network.prepare_inputs(context, options, **more).context.shape == context.shape  # type: ignore[attr-defined]
    with pytest.raises(WrongConditioning, match=r"needs embeddings with 2048 features .* type 'flux3'"):
        model.network.prepare_inputs(torch.zeros(1, 4, 20), {}, **more)
    with pytest.raises(WrongConditioning, match="needs reference latents with 128 channels, not 16"):
        model.network.prepare_inputs(context, {"reference_latents": [torch.ones(1, 16, 4, 4)]}, **more)


def test_references_are_resized_and_without_any_the_latent_has_the_chosen_size() -> None:
    class Vae:
        def encode(self, image: torch.Tensor) -> torch.Tensor:
            return torch.ones(1, 128, image.shape[1] // 16, image.shape[2] // 16)

    resized = {"resolution": "resize", "megapixels": 0.25}
    positive = [[torch.zeros(1, 1, 4), {}]]
    images = {"image0": torch.rand(1, 100, 200, 3), "image1": torch.rand(1, 512, 512, 3)}
    made, negative, latent = ReferenceMultiLatent.execute(positive, resized, vae=Vae(), images=images).values
    assert negative is made
    assert [tuple(one.shape) for one in made[0][1]["reference_latents"]] == [(1, 128, 23, 45), (1, 128, 32, 32)]
    assert latent["samples"].shape == (1, 128, 23, 45)
    assert not latent["samples"].any()
    other = [[torch.zeros(1, 2, 4), {}]]
    same, second, latent = ReferenceMultiLatent.execute(positive, resized, negative=other).values
    assert (same, second) == (positive, other)
    assert latent["samples"].shape == (1, 128, 32, 32)


def test_boxes_follow_the_prompt_as_a_table() -> None:
    boxes = [
        {"type": "obj", "bbox": [10, 20, 300, 400], "desc": "a dress"},
        {"type": "text", "bbox": [0, 0, 50, 60], "desc": "in red", "text": "SALE"},
    ]
    (made,) = Flux3LayoutPrompt.execute("Change <obj_1>", boxes).values
    prompt, table = made.split("\n\n")
    assert prompt == "Change <obj_1>"
    assert json.loads(table) == [
        {"id": "obj_1", "bbox": [10, 20, 300, 400], "desc": "a dress"},
        {"id": "obj_2", "bbox": [0, 0, 50, 60], "desc": '"SALE" in red'},
    ]
    assert Flux3LayoutPrompt.execute("as it is", []).values == ("as it is",)
