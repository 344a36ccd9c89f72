"""SDXL at its real width, with few layers, compared with diffusers and transformers on the same random weights.

``python -m benchmarks.sdxl`` writes a checkpoint of 1.2 GB in SDXL's layout with random weights (three layers in each
text encoder, one transformer block where SDXL has two or ten), loads it like any other, and prints the relative L2
distances between the results. Both compute in float32. It exits with an error if a distance exceeds its limit.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tests.models.unets import shapes_of, unet_of

from safelight.models.checkpoint import load_checkpoint

PROMPT = "a photograph of an astronaut riding a horse"
LIMIT = 1e-5
SHAPE = unet_of(multipliers=(1, 2, 4), depths=(0, 1, 1), middle=1, context=2048, vector=2816, is_linear=True)
UNET = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": 1,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "projection_dim": 768}
CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
SIZES = (1024, 768, 8, 16, 1024, 768)
"""Height, width, crop from the top and from the left, and the target height and width."""


def text_encoder(config: dict[str, Any], *, projects: bool) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kind = CLIPTextModelWithProjection if projects else CLIPTextModel
    return kind(CLIPTextConfig(vocab_size=49408, num_hidden_layers=3, **config)).eval()


def text_state(encoder: Any) -> dict[str, torch.Tensor]:
    """The state under the names used in files."""
    named = encoder.state_dict().items()
    return {n if n.startswith(("text_model.", "text_projection")) else f"text_model.{n}": v for n, v in named}


def unet_state() -> dict[str, torch.Tensor]:
    """Matrices with a standard deviation of one over the root of their number of inputs; norms about 1; the rest
    small."""
    made = {}
    for name, shape in shapes_of(SHAPE).items():
        tensor = torch.randn(shape)
        made[name] = tensor / shape[1:].numel() ** 0.5 if len(shape) > 1 else 1 + 0.05 * tensor
        if name.endswith("bias"):
            made[name] = 0.02 * tensor
    return made


def their_unet(state: dict[str, torch.Tensor]) -> Any:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNET)
    named = {f"model.diffusion_model.{name}": value for name, value in state.items()}
    unet.load_state_dict(convert_ldm_unet_checkpoint(named, dict(unet.config)), assign=True)
    return unet.eval()


def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    assert ours.shape == theirs.shape, f"{list(ours.shape)} is not {list(theirs.shape)}"
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


def lines(folder: Path) -> Iterator[tuple[str, float]]:
    torch.manual_seed(0)
    small, large, state = text_encoder(CLIP_L, projects=False), text_encoder(CLIP_G, projects=True), unet_state()
    path = folder / "sdxl_reduced.safetensors"
    parts = {
        "conditioner.embedders.0.transformer.": text_state(small),
        "conditioner.embedders.1.model.": text_state(large),
        "model.diffusion_model.": state,
    }
    save_file({f"{at}{n}": v.contiguous() for at, part in parts.items() for n, v in part.items()}, path)
    loaded = load_checkpoint(path)
    assert loaded.text is not None
    tokens = loaded.text.tokenize(PROMPT)
    [[condition, options]] = loaded.text.encode_from_tokens_scheduled(tokens)

    def ids(letter: str) -> torch.Tensor:
        return torch.tensor([[token for token, _ in window] for window in tokens[letter]])

    of_small = small(input_ids=ids("l"), output_hidden_states=True).hidden_states[-2]
    of_large = large(input_ids=ids("g"), output_hidden_states=True)
    their_condition = torch.cat([of_small, of_large.hidden_states[-2]], -1)
    yield "conditioning", distance(condition, their_condition)
    yield "pooled output", distance(options["pooled_output"], large_pooled(large, ids("g"), of_large))

    names = ("height", "width", "crop_h", "crop_w", "target_height", "target_width")
    x, timestep = torch.randn(2, 4, 32, 24), torch.tensor([999.0, 17.0])
    sized = {**options, **dict(zip(names, SIZES, strict=True))}
    conditioned = loaded.model.network.prepare_inputs(their_condition, sized, shape=x.shape, device=x.device)
    predicted: torch.Tensor
    with loaded.model.network.session() as predict:
        predicted = predict(x, timestep, conditioned.for_items(2))
    more = {"text_embeds": options["pooled_output"].expand(2, -1), "time_ids": torch.tensor([SIZES, SIZES])}
    theirs = their_unet(state)(
        x, timestep, encoder_hidden_states=their_condition.expand(2, -1, -1), added_cond_kwargs=more
    )
    yield "network, t = 999 and 17, with sizes", distance(predicted, theirs.sample)


def large_pooled(encoder: Any, ids: torch.Tensor, output: Any) -> torch.Tensor:
    """Return the projection at the first end token. (Where transformers looks for the end depends on its
    configuration's ``eos_token_id``; bigG pads with zeros, so there is only one end token.)"""
    ends = (ids == 49407).int().argmax(-1)
    return encoder.text_projection(output.last_hidden_state[torch.arange(len(ids)), ends])  # type: ignore[no-any-return]


def main() -> None:
    failed = 0
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for what, error in lines(Path(folder)):
            failed += error > LIMIT
            print(f"{what:<38} {error:10.2e}   {'ok' if error <= LIMIT else f'more than {LIMIT:.0e}'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
