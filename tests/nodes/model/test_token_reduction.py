"""Self-attention over fewer tokens: which are merged, and that the output is unchanged where it should be."""

import pytest
import torch
from tests.models.sampling.networks import model_of, saying
from tests.nodes.model.test_guidance_nodes import both_ways, changed, real  # noqa: F401 (a fixture)

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.network_hooks import Attention, BlockIndex, NetworkHooks
from safelight.models.sampling.guidance import GuidanceOptions, PositiveGuider, options_of
from safelight.models.sampling.noise import generator_after_first_noise
from safelight.models.sampling.sample import ChosenSampler, sample
from safelight.models.sampling.samplers.table import SAMPLERS
from safelight.models.unet.blocks import attend
from safelight.nodes.model.attention import CLIPAttentionMultiply, UNetCrossAttentionMultiply, UNetSelfAttentionMultiply
from safelight.nodes.model.token_reduction import HyperTile, PatchModelAddDownscale, TomePatchModel, merging


def attention(height: int, width: int, *, full: tuple[int, int] | None = None, index: int = 0) -> Attention:
    q, k, v = (torch.randn(2, height * width, 8, generator=torch.Generator().manual_seed(n)) for n in range(3))
    size = (height, width)
    return Attention(q, k, v, q, 2, BlockIndex("input", index), size, full or size, True)


def test_tiles_attend_only_to_themselves(real: DiffusionModel) -> None:  # noqa: F811
    [hook] = options_of(changed(HyperTile, real, 32, 1, 0, False)).hooks.attention
    asked = attention(8, 12)
    made = hook(asked, attend).reshape(2, 8, 12, 8)
    whole = (part.reshape(2, 8, 12, 8) for part in (asked.q, asked.k, asked.v))
    tile = [part[:, 4:8, 8:12].reshape(2, 16, 8) for part in whole]
    alone = attend(asked.with_(q=tile[0], k=tile[1], v=tile[2]))
    torch.testing.assert_close(made[:, 4:8, 8:12].reshape(2, 16, 8), alone)


def test_tiles_take_turns_and_end_at_a_depth(real: DiffusionModel) -> None:  # noqa: F811
    [hook] = options_of(changed(HyperTile, real, 32, 2, 1, True)).hooks.attention
    sizes: list[tuple[int, ...]] = []

    def seen(asked: Attention) -> torch.Tensor:
        sizes.append((*asked.size, len(asked.q)))
        return asked.q

    for index in (0, 1):
        assert hook(attention(16, 16, index=index), seen).shape == (2, 256, 8)
    assert sizes == [(4, 4, 32), (8, 8, 8)]
    hook(attention(16, 16, full=(32, 32)), seen)  # twice the tile size, one level deeper
    hook(attention(8, 8, full=(32, 32)), seen)
    hook(attention(5, 9, full=(32, 32)), seen)
    assert sizes[2:] == [(8, 8, 8), (8, 8, 2), (5, 9, 2)]


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_merged_tokens_are_means_of_similar_ones() -> None:
    """Two halves of an image, each of one color: merging loses nothing."""
    hidden = torch.zeros(1, 16, 3)
    hidden[:, :8, 0], hidden[:, 8:, 1] = 1.0, 2.0
    merge, unmerge = merging(hidden, (4, 4), 8, seeded())
    fewer = merge(hidden)
    assert fewer.shape == (1, 8, 3)
    torch.testing.assert_close(unmerge(fewer), hidden)
    noise = torch.randn(1, 16, 3)
    merge, unmerge = merging(noise, (4, 4), 16, seeded())
    assert merge(noise).shape == (1, 4, 3)  # one of four tokens is kept
    assert unmerge(merge(noise)).shape == noise.shape


@pytest.mark.parametrize(
    ("size", "ratio", "fewer", "projection", "deviation"),
    [((4, 6), 0.5, 12, 29.38571, 0.928818), ((5, 7), 0.3, 25, 37.48681, 0.973301)],
)
def test_the_seed_draws_the_same_tokens_as_in_comfyui(
    real: DiffusionModel,  # noqa: F811
    size: tuple[int, int],
    ratio: float,
    fewer: int,
    projection: float,
    deviation: float,
) -> None:
    """Measured with ComfyUI 0.8.0: the draws go on behind those of the noise that sampling starts from."""
    tokens = size[0] * size[1]
    hidden = torch.randn(2, tokens, 3, generator=seeded(9))
    direction = torch.randn(2, tokens, 3, generator=seeded(1)).double()
    [make] = options_of(changed(TomePatchModel, real, ratio)).seeded
    generator = generator_after_first_noise(torch.zeros(1, 4, *size), 5, torch.device("cpu"))
    [hook] = make(generator).attention
    lengths: list[int] = []

    def seen(asked: Attention) -> torch.Tensor:
        lengths.append(asked.q.shape[1])
        return asked.q

    made = hook(Attention(hidden, hidden, hidden, hidden, 1, BlockIndex("input", 1), size, size, True), seen).double()
    assert lengths == [fewer]
    assert float((made * direction).sum()) == pytest.approx(projection, abs=1e-4)
    assert float(made.std()) == pytest.approx(deviation, abs=1e-5)


def test_hooks_are_built_with_the_seed_of_the_run() -> None:
    """The same seed merges the same tokens; a different seed merges others."""
    drawn: list[float] = []

    def chance(generator: torch.Generator) -> NetworkHooks:
        drawn.append(float(torch.rand((), generator=generator)))
        return NetworkHooks()

    model = model_of(options=GuidanceOptions(seeded=(chance,)))
    for seed in (1, 1, 2):
        latent = torch.zeros(1, 4, 4, 4)
        guider = PositiveGuider(model, saying(1.0))
        euler = ChosenSampler(SAMPLERS["euler"])
        sigmas = torch.tensor([1.0, 0.0])
        sample(guider, euler, sigmas, latent=latent, noise=latent, seed=seed, on_step=lambda *of_step: None)
    assert drawn[0] == drawn[1] != drawn[2]


def test_networks_run_with_them(real: DiffusionModel) -> None:  # noqa: F811
    plain, _ = both_ways(real)
    for node, options in (
        (TomePatchModel, (0.5,)),
        (HyperTile, (32, 1, 2, False)),
        (UNetSelfAttentionMultiply, (1.0, 1.0, 0.0, 1.0)),
        (UNetCrossAttentionMultiply, (1.0, 1.0, 1.0, 2.0)),
        (PatchModelAddDownscale, (3, 2.0, 0.0, 1.0, True, "bicubic", "bicubic")),
        (PatchModelAddDownscale, (2, 2.0, 0.0, 1.0, False, "bilinear", "bislerp")),
    ):
        made, _ = both_ways(changed(node, real, *options))
        assert made.shape == plain.shape
        assert torch.isfinite(made).all()
        if node is not TomePatchModel and node is not HyperTile:  # attention is only below the latent's full size here
            assert not torch.allclose(made, plain), node
    same, _ = both_ways(changed(UNetSelfAttentionMultiply, real, 1.0, 1.0, 1.0, 1.0))
    assert torch.equal(same, plain)


def test_the_latent_is_smaller_during_a_range_of_the_steps(real: DiffusionModel) -> None:  # noqa: F811
    plain, _ = both_ways(real)  # at a sigma of 2, past the first third
    late, _ = both_ways(changed(PatchModelAddDownscale, real, 3, 2.0, 0.0, 0.1, True, "bicubic", "bicubic"))
    assert torch.equal(late, plain)


def test_text_attention_is_scaled() -> None:
    from safelight.models.checkpoint import load_checkpoint
    from safelight.settings import BUNDLED_MODELS

    clip = load_checkpoint(BUNDLED_MODELS / "checkpoints" / "safelight-miniature.safetensors").text
    assert clip is not None
    plain, _ = clip.encode(clip.tokenize("a red star"))
    (same,) = CLIPAttentionMultiply.execute(clip, 1.0, 1.0, 1.0, 1.0).values
    assert torch.equal(same.encode(same.tokenize("a red star"))[0], plain)
    (other,) = CLIPAttentionMultiply.execute(clip, 1.0, 1.0, 0.5, 1.0).values
    (twice,) = CLIPAttentionMultiply.execute(clip, 1.0, 1.0, 1.0, 0.5).values
    halved = other.encode(other.tokenize("a red star"))[0]
    assert not torch.allclose(halved, plain)
    assert not torch.allclose(twice.encode(twice.tokenize("a red star"))[0], plain)


@pytest.mark.parametrize(("name", "share"), [("input_blocks.1.0.in_layers.2.weight", 0.25), ("out.2.weight", 0.5)])
def test_parts_are_mixed_by_ratios_of_their_own(real: DiffusionModel, name: str, share: float) -> None:  # noqa: F811
    from safelight.models.lora.changes import AdditivePatch, FullDifference
    from safelight.models.merging import patched_weight
    from safelight.models.weight_layers import WeightLayer
    from safelight.nodes.model.merge import ModelMergeSD1

    shapes = real.network.shapes
    one = WeightLayer("ones", {key: AdditivePatch(FullDifference(torch.ones(shape))) for key, shape in shapes.items()})
    ratios = {input.id: 1.0 for input in ModelMergeSD1.define_schema().inputs[2:]}
    ratios |= {"input_blocks.1.": 0.25, "out.": 0.5, "input_blocks.10.": 0.0}
    (made,) = ModelMergeSD1.execute(real, real.with_layers(one), **ratios).values
    before = patched_weight(real.network.weights, (), name)  # type: ignore[attr-defined]
    after = patched_weight(made.network.weights, made.network.layers, name)
    torch.testing.assert_close(after, before + (1 - share))
