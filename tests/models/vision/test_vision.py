"""Image encoders against transformers', and what nodes make with them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext
from torch.nn import functional

from safelight.models.vision.style import load_style_model
from safelight.models.vision.vision_encoder import VisionOutput, load_vision_encoder
from safelight.models.weights import UnknownWeights
from safelight.nodes.conditioning.vision import CLIPVisionEncode, StyleModelApply, UnknownStrength
from safelight.nodes.loaders.vision import CLIPVisionLoader, StyleModelLoader

SIZE = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 16}


def clip_of(**changes: Any) -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    config = CLIPVisionConfig(**SIZE, image_size=56, patch_size=14, projection_dim=24, hidden_act="gelu", **changes)
    return CLIPVisionModelWithProjection(config).eval()


def siglip() -> Any:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(0)
    config = SiglipVisionConfig(**SIZE, image_size=56, patch_size=14, vision_use_head=False)
    return SiglipVisionModel(config).eval()


def saved(model: Any, path: Path) -> Path:
    named = {}
    for name, value in model.state_dict().items():
        if name.endswith("position_ids"):
            continue
        prefix = "" if name.startswith(("vision_model.", "visual_projection.")) else "vision_model."
        named[prefix + name] = value.contiguous()
    save_file(named, path)
    return path


def planes(image: torch.Tensor, mean: list[float], deviation: list[float]) -> torch.Tensor:
    rounded = (image * 255).round() / 255
    return ((rounded - torch.tensor(mean)) / torch.tensor(deviation)).movedim(-1, 1)


@torch.no_grad()
def test_equals_clip_of_transformers(tmp_path: Path) -> None:
    model = clip_of()
    image = torch.rand(2, 56, 56, 3)
    ours = load_vision_encoder(saved(model, tmp_path / "a.safetensors")).encode_image(image)
    mean, deviation = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    theirs = model(planes(image, mean, deviation), output_hidden_states=True)
    torch.testing.assert_close(ours.image_embeds, theirs.image_embeds, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.last_hidden_state, theirs.last_hidden_state, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours["penultimate_hidden_states"], theirs.hidden_states[-2], rtol=1e-4, atol=1e-5)
    assert ours.all_hidden_states.shape == (2, 3, 17, 64)
    assert ours.image_sizes == [(56, 56, 3)] * 2


@torch.no_grad()
def test_equals_siglip_of_transformers(tmp_path: Path) -> None:
    model = siglip()
    image = torch.rand(1, 56, 56, 3)
    ours = load_vision_encoder(saved(model, tmp_path / "a.safetensors")).encode_image(image)
    theirs = model(planes(image, [0.5] * 3, [0.5] * 3))
    torch.testing.assert_close(ours.last_hidden_state, theirs.last_hidden_state, rtol=1e-4, atol=1e-5)


def test_the_center_or_all_of_an_image(tmp_path: Path) -> None:
    encoder = load_vision_encoder(saved(clip_of(), tmp_path / "a.safetensors"))
    image = torch.zeros(1, 112, 224, 3)
    image[:, :, 56:168] = 1.0  # only the middle is white
    white = encoder.encode_image(torch.ones(1, 56, 56, 3)).image_embeds
    inner = encoder.encode_image(image)
    assert functional.cosine_similarity(inner.image_embeds, white).item() > 0.95
    assert functional.cosine_similarity(encoder.encode_image(image, crop=False).image_embeds, white).item() < 0.95


def test_nodes(tmp_path: Path) -> None:
    (tmp_path / "models" / "clip_vision").mkdir(parents=True)
    (tmp_path / "models" / "style_models").mkdir()
    saved(clip_of(), tmp_path / "models" / "clip_vision" / "h.safetensors")
    redux = {
        "redux_up.weight": torch.randn(32, 64),
        "redux_up.bias": torch.randn(32),
        "redux_down.weight": torch.randn(8, 32),
        "redux_down.bias": torch.randn(8),
    }
    save_file(redux, tmp_path / "models" / "style_models" / "redux.safetensors")
    with FolderContext(tmp_path).running():
        (encoder,) = CLIPVisionLoader.execute("h.safetensors").values
        (style,) = StyleModelLoader.execute("redux.safetensors").values
        (seen,) = CLIPVisionEncode.execute(encoder, torch.rand(1, 80, 60, 3), "center").values
        prompt = [[torch.zeros(1, 77, 8), {"pooled_output": None}]]
        (made,) = StyleModelApply.execute(prompt, style, seen, 0.5, "multiply").values
        with pytest.raises(UnknownStrength):
            StyleModelApply.execute(prompt, style, seen, 0.5, "attn_bias")
    up = functional.silu(seen.last_hidden_state @ redux["redux_up.weight"].T + redux["redux_up.bias"])
    tokens = up @ redux["redux_down.weight"].T + redux["redux_down.bias"]
    torch.testing.assert_close(made[0][0][:, 77:], 0.5 * tokens, rtol=1e-4, atol=1e-4)
    assert (made[0][0][:, :77].abs().max().item(), made[0][1]) == (0.0, {"pooled_output": None})


def test_the_style_adapter_by_hand(tmp_path: Path) -> None:
    """Without attention and inner layers, the style embedding passes both norms and is projected."""
    width = 16
    state = {
        "style_embedding": torch.randn(1, 4, width),
        "proj": torch.randn(width, 6),
        **{f"ln_{part}.weight": torch.ones(width) for part in ("pre", "post")},
        **{f"ln_{part}.bias": torch.zeros(width) for part in ("pre", "post")},
    }
    layer = "transformer_layes.0."
    for name, shape in {
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        "attn.out_proj.weight": (width, width),
        "attn.out_proj.bias": (width,),
        "ln_1.weight": (width,),
        "ln_1.bias": (width,),
        "ln_2.weight": (width,),
        "ln_2.bias": (width,),
        "mlp.c_fc.weight": (4 * width, width),
        "mlp.c_fc.bias": (4 * width,),
        "mlp.c_proj.weight": (width, 4 * width),
        "mlp.c_proj.bias": (width,),
    }.items():
        state[layer + name] = torch.zeros(shape)
    save_file(state, tmp_path / "style.safetensors")
    made = load_style_model(tmp_path / "style.safetensors").get_cond(
        VisionOutput(last_hidden_state=torch.randn(2, 9, width))
    )
    normed = functional.layer_norm(functional.layer_norm(state["style_embedding"], (width,)), (width,))
    torch.testing.assert_close(made, (normed @ state["proj"]).expand(2, -1, -1), rtol=1e-4, atol=1e-4)


def test_other_files_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(UnknownWeights, match=r"'a\.safetensors' contains no supported vision encoder"):
        load_vision_encoder(tmp_path / "a.safetensors")
    with pytest.raises(UnknownWeights, match=r"'a\.safetensors' contains no supported style model"):
        load_style_model(tmp_path / "a.safetensors")
