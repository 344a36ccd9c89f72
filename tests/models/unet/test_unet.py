"""The UNet against diffusers', an independent implementation, on the same random weights."""

from typing import Any

import pytest
import torch

from safelight.models.network_hooks import Attend, Attention, BlockIndex, Control, NetworkHooks
from safelight.models.unet.diffusers_names import diffusers_names
from safelight.models.unet.shape import TransformerShape, unet_shape
from safelight.models.unet.unet_module import Heads, UNet, UNetInputs

SD1: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": 24,
    "attention_head_dim": 4,
    "norm_num_groups": 8,
    "sample_size": 8,
}
"""Convolutions around transformers, four heads of any width."""

SDXL: dict[str, Any] = {
    **SD1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "attention_head_dim": (2, 4),
    "transformer_layers_per_block": (1, 2),
    "use_linear_projection": True,
    "class_embed_type": "projection",
    "projection_class_embeddings_input_dim": 40,
}
"""Matrices around transformers of several blocks, heads 16 wide, a pooled condition."""


def pair(config: dict[str, Any], heads: Heads) -> tuple[UNet, Any]:
    """Our UNet, and diffusers' with the same weights under its names."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    theirs = UNet2DConditionModel(**config).eval()
    state = theirs.state_dict()
    mapping = ldm_names(list(state), config)
    shapes = {ours: state[name].shape for ours, name in mapping.items()}
    ours = UNet(unet_shape(shapes), heads=heads, groups=config["norm_num_groups"]).eval()
    ours.load_state_dict({name: state[other] for name, other in mapping.items()})
    return ours, theirs


def ldm_names(theirs: list[str], config: dict[str, Any]) -> dict[str, str]:
    """Names in latent diffusion's layout -> diffusers' names: the inverse of the map that LoRA files are read with."""
    candidates = layout(config)
    modules = {name.rpartition(".")[0] for name in theirs}
    spelt = diffusers_names(candidates)
    spelt |= {"label_emb.0.0": "class_embedding.linear_1", "label_emb.0.2": "class_embedding.linear_2"}
    found = {ours: other for ours, other in spelt.items() if other in modules}
    assert set(found.values()) == modules
    return {
        f"{ours}.{kind}": f"{other}.{kind}"
        for ours, other in found.items()
        for kind in ("weight", "bias")
        if f"{other}.{kind}" in theirs
    }


def layout(config: dict[str, Any]) -> list[str]:
    """The names of all modules that such a UNet can have."""
    residual = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3", "skip_connection"]
    attention = [f"attn{i}.{part}" for i in (1, 2) for part in ("to_q", "to_k", "to_v", "to_out.0")]
    block = [*attention, "ff.net.0.proj", "ff.net.2", "norm1", "norm2", "norm3"]
    layers = config["layers_per_block"]
    depth = config.get("transformer_layers_per_block", (1, 1))
    names = ["time_embed.0", "time_embed.2", "input_blocks.0.0", "out.0", "out.2"]

    def add(place: str, parts: list[str]) -> None:
        names.extend(f"{place}.{part}" for part in parts)

    def transformer(place: str, count: int) -> None:
        add(place, ["norm", "proj_in", "proj_out"])
        for index in range(count):
            add(f"{place}.transformer_blocks.{index}", block)

    has_attention = ["CrossAttn" in kind for kind in config["down_block_types"]]
    number = 1
    for level in range(2):
        for _ in range(layers):
            add(f"input_blocks.{number}.0", residual)
            if has_attention[level]:
                transformer(f"input_blocks.{number}.1", depth[level])
            number += 1
        if level == 0:
            names.append(f"input_blocks.{number}.0.op")
            number += 1
    add("middle_block.0", residual)
    transformer("middle_block.1", depth[-1])
    add("middle_block.2", residual)
    number = 0
    for level in (1, 0):
        for index in range(layers + 1):
            add(f"output_blocks.{number}.0", residual)
            if has_attention[level]:
                transformer(f"output_blocks.{number}.1", depth[level])
            if level == 1 and index == layers:
                names.append(f"output_blocks.{number}.{2 if has_attention[level] else 1}.conv")
            number += 1
    return names


@pytest.mark.parametrize(
    ("config", "heads"), [(SD1, Heads(count=4)), (SDXL, Heads(width=16))], ids=["like sd1", "like sdxl"]
)
@pytest.mark.parametrize("size", [(8, 8), (6, 10)])
def test_equals_diffusers(config: dict[str, Any], heads: Heads, size: tuple[int, int]) -> None:
    ours, theirs = pair(config, heads)
    x, context = torch.randn(2, 4, *size), torch.randn(2, 7, 24)
    timestep = torch.tensor([17.0, 803.5])
    y = torch.randn(2, 40) if "class_embed_type" in config else None
    with torch.no_grad():
        actual = ours(x, timestep, UNetInputs(context, y))
        expected = theirs(x, timestep, encoder_hidden_states=context, class_labels=y).sample
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_the_shape_is_read_off_the_names() -> None:
    ours, _ = pair(SDXL, Heads(width=16))
    shape = unet_shape({name: value.shape for name, value in ours.state_dict().items()})
    assert (shape.channels, shape.context, shape.vector, shape.in_channels) == (32, 24, 40, 4)
    depths = [part.depth for block in shape.inputs for part in block if isinstance(part, TransformerShape)]
    assert depths == [2, 2]
    with pytest.raises(KeyError, match=r"time_embed\.0\.weight"):
        unet_shape({})


@pytest.fixture(scope="module")
def unet() -> UNet:
    return pair(SD1, Heads(count=4))[0]


def run(unet: UNet, **keywords: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    x, context = torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 7, 24, generator=generator)
    with torch.no_grad():
        actual: torch.Tensor = unet(x, torch.tensor([500.0, 500.0]), UNetInputs(context), **keywords)
    return actual


def test_hooks_stand_in_every_place(unet: UNet) -> None:
    attended: list[tuple[BlockIndex, bool]] = []
    blocks: list[BlockIndex] = []
    skips: list[BlockIndex] = []

    def attention(asked: Attention, attend: Attend) -> torch.Tensor:
        attended.append((asked.block, asked.is_self))
        return attend(asked)

    def block_hook(hidden: torch.Tensor, block: BlockIndex) -> torch.Tensor:
        blocks.append(block)
        return hidden

    def skip(hidden: torch.Tensor, other: torch.Tensor, block: BlockIndex) -> tuple[torch.Tensor, torch.Tensor]:
        skips.append(block)
        return hidden, other

    hooks = NetworkHooks(attention=(attention,), skip=(skip,), block=(block_hook,))
    torch.testing.assert_close(run(unet, hooks=hooks), run(unet))
    assert attended == [
        (block, is_self)
        for block in (BlockIndex("input", 1), BlockIndex("middle", 0), BlockIndex("output", 2), BlockIndex("output", 3))
        for is_self in (True, False)
    ]
    assert blocks == [
        *(BlockIndex("input", i) for i in range(4)),
        BlockIndex("middle", 0),
        *(BlockIndex("output", i) for i in range(4)),
    ]
    assert skips == [BlockIndex("output", i) for i in range(4)]


def test_the_first_attention_hook_is_outermost(unet: UNet) -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        def hook(asked: Attention, attend: Attend) -> torch.Tensor:
            order.append(name)
            return attend(asked)

        return hook

    run(unet, hooks=NetworkHooks(attention=(named("outer"), named("inner"))))
    assert order[:2] == ["outer", "inner"]


def test_control_is_added_at_its_blocks(unet: UNet) -> None:
    zeros = torch.zeros(1, 32, 8, 8)
    nothing = Control(skips={0: zeros, 1: zeros}, middle=torch.zeros(1, 64, 4, 4))
    torch.testing.assert_close(run(unet, control=nothing), run(unet))
    ones = torch.ones(1, 32, 8, 8)
    for control in (Control(skips={1: ones}), Control(inputs={1: ones}), Control(middle=torch.ones(1, 64, 4, 4))):
        assert not torch.allclose(run(unet, control=control), run(unet))
