"""The nodes from a checkpoint to an image, with the bundled model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext

from safelight.nodes.conditioning.encode import CLIPSetLastLayer, CLIPTextEncode, NoTextEncoder
from safelight.nodes.latent.autoencoder import (
    InpaintModelConditioning,
    NoAutoencoder,
    VAEDecode,
    VAEDecodeTiled,
    VAEEncode,
    VAEEncodeForInpaint,
    VAEEncodeTiled,
)
from safelight.nodes.latent.empty import EmptyLatentImage
from safelight.nodes.loaders.checkpoint import CheckpointLoaderSimple, UNETLoader, VAELoader
from safelight.nodes.loaders.lora import LoraLoader
from safelight.nodes.sampling.custom import BasicGuider, CFGGuider, DualCFGGuider, SamplerCustom, SamplerCustomAdvanced
from safelight.nodes.sampling.ksampler import KSampler, KSamplerAdvanced
from safelight.nodes.sampling.model_schedules import AddNoise, BasicScheduler, BetaSamplingScheduler, SDTurboScheduler
from safelight.nodes.sampling.noise import DisableNoise, RandomNoise
from safelight.nodes.sampling.samplers import KSamplerSelect, SamplerSASolver
from safelight.sdk import Cancelled
from safelight.settings import BUNDLED_MODELS

BUNDLED = "safelight-miniature.safetensors"
PROMPT = "a large yellow star in the center on a blue background"


@pytest.fixture(autouse=True)
def context(tmp_path: Path) -> Iterator[FolderContext]:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "checkpoints").symlink_to(BUNDLED_MODELS / "checkpoints")
    for folder in ("diffusion_models", "vae"):
        (tmp_path / "models" / folder).symlink_to(BUNDLED_MODELS / "checkpoints")
    with FolderContext(tmp_path).running() as running, torch.inference_mode():
        yield running


def made(node: Any, *arguments: Any, **keywords: Any) -> Any:
    """The output of a node: a single value, or a tuple of several."""
    values = node.execute(*arguments, **keywords).values
    return values[0] if len(values) == 1 else values


class Scene:
    """What most graphs begin with."""

    def __init__(self) -> None:
        self.model, self.clip, self.vae = made(CheckpointLoaderSimple, BUNDLED)
        self.positive = made(CLIPTextEncode, PROMPT, self.clip)
        self.negative = made(CLIPTextEncode, "", self.clip)

    def latent(self, count: int = 1) -> Any:
        return made(EmptyLatentImage, 128, 128, count)

    def run_sampling(
        self, *, seed: int = 7, steps: int = 12, latent: Any = None, denoise: float = 1.0, **more: Any
    ) -> Any:
        name, scheduler = more.get("sampler", "euler"), more.get("scheduler", "simple")
        model = more.get("model", self.model)
        latent = self.latent() if latent is None else latent
        sides = (self.positive, self.negative)
        return made(KSampler, model, seed, steps, 4.0, name, scheduler, *sides, latent, denoise)["samples"]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_prompt_becomes_an_image(scene: Scene, context: FolderContext) -> None:
    latent = made(
        KSampler, scene.model, 7, 20, 4.0, "euler", "simple", scene.positive, scene.negative, scene.latent(), 1.0
    )
    image = made(VAEDecode, latent, scene.vae)
    assert image.shape == (1, 128, 128, 3)
    corner, middle = image[0, :12, :12].mean(dim=(0, 1)), image[0, 60:68, 60:68].mean(dim=(0, 1))
    assert corner[2] > 2 * corner[0]
    assert middle[:2].min() > 2 * middle[2]
    assert context.steps == [(step, 20) for step in range(1, 21)]
    last = context.previews[-1]
    assert last.size == (16, 16)
    red, _, blue = last.getpixel((0, 0))
    assert blue > red


def test_the_same_seed_gives_the_same_latent(scene: Scene) -> None:
    first = scene.run_sampling()
    scene.run_sampling(seed=8)
    assert torch.equal(scene.run_sampling(), first)
    assert not torch.equal(scene.run_sampling(seed=8), first)
    assert torch.equal(Scene().run_sampling(), first)


def test_an_item_of_a_batch_is_the_same_alone(scene: Scene) -> None:
    whole = scene.run_sampling(latent=scene.latent(3))
    alone = {**scene.latent(), "batch_index": [2]}
    torch.testing.assert_close(scene.run_sampling(latent=alone), whole[2:], rtol=1e-3, atol=1e-3)


def test_two_partial_runs_equal_one(scene: Scene) -> None:
    sides = (scene.positive, scene.negative)

    def part(latent: Any, start: int, end: int, *, noise: str, leftover: str) -> Any:
        return made(
            KSamplerAdvanced, scene.model, noise, 7, 12, 4.0, "euler", "simple", *sides, latent, start, end, leftover
        )

    half = part(scene.latent(), 0, 6, noise="enable", leftover="enable")
    whole = part(half, 6, 10000, noise="disable", leftover="disable")["samples"]
    torch.testing.assert_close(whole, scene.run_sampling(), rtol=1e-3, atol=1e-4)


def test_the_parts_of_sampling_are_the_ksampler(scene: Scene) -> None:
    sigmas = made(BasicScheduler, scene.model, "simple", 12, 1.0)
    sampler = made(KSamplerSelect, "euler")
    sides = (scene.positive, scene.negative)
    custom, denoised = made(SamplerCustom, scene.model, True, 7, 4.0, *sides, sampler, sigmas, scene.latent())
    assert torch.equal(custom["samples"], scene.run_sampling())
    assert torch.equal(denoised["samples"], custom["samples"])
    guider = made(CFGGuider, scene.model, *sides, 4.0)
    advanced, _ = made(SamplerCustomAdvanced, made(RandomNoise, 7), guider, sampler, sigmas, scene.latent())
    assert torch.equal(advanced["samples"], custom["samples"])
    dual = made(DualCFGGuider, scene.model, *sides, scene.negative, 4.0, 1.0, "regular")
    same, _ = made(SamplerCustomAdvanced, made(RandomNoise, 7), dual, sampler, sigmas, scene.latent())
    torch.testing.assert_close(same["samples"], custom["samples"], rtol=1e-3, atol=1e-3)


def test_a_guider_without_negative(scene: Scene) -> None:
    sigmas = made(BetaSamplingScheduler, scene.model, 8, 0.6, 0.6)
    guider = made(BasicGuider, scene.model, scene.positive)
    sampler = made(SamplerSASolver, scene.model, 1.0, 0.2, 0.8, 1.0, 3, 4, False, True)
    latent, _ = made(SamplerCustomAdvanced, made(RandomNoise, 7), guider, sampler, sigmas, scene.latent())
    assert latent["samples"].isfinite().all()


def test_schedules_of_the_model(scene: Scene) -> None:
    assert made(SDTurboScheduler, scene.model, 2, 1.0).tolist() == pytest.approx([0.999, 0.899, 0.0])
    assert made(BasicScheduler, scene.model, "simple", 4, 0.5).tolist() == pytest.approx([0.5, 0.375, 0.25, 0.125, 0.0])


def test_noise_may_come_from_a_node(scene: Scene) -> None:
    sigmas = made(BasicScheduler, scene.model, "simple", 12, 1.0)
    noised = made(AddNoise, scene.model, made(RandomNoise, 7), sigmas, scene.latent())
    guider = made(CFGGuider, scene.model, scene.positive, scene.negative, 4.0)
    made_of, _ = made(SamplerCustomAdvanced, made(DisableNoise), guider, made(KSamplerSelect, "euler"), sigmas, noised)
    assert made_of["samples"].isfinite().all()


def test_partial_denoising_keeps_the_image(scene: Scene) -> None:
    first = {"samples": scene.run_sampling()}
    near = scene.run_sampling(latent=first, seed=8, denoise=0.2)
    far = scene.run_sampling(latent=first, seed=8, denoise=0.9)
    assert (near - first["samples"]).norm() < (far - first["samples"]).norm()
    assert torch.equal(scene.run_sampling(latent=first, denoise=0.0), first["samples"])


def test_an_image_is_encoded_and_decoded(scene: Scene) -> None:
    latent = {"samples": scene.run_sampling()}
    image = made(VAEDecode, latent, scene.vae)
    again = made(VAEDecode, made(VAEEncode, image, scene.vae), scene.vae)
    assert float((again - image).abs().mean()) < 0.05
    tiled = made(VAEDecodeTiled, latent, scene.vae, 64, 16)
    assert tiled.shape == image.shape
    assert float((tiled - image).abs().mean()) < 0.05
    encoded = made(VAEEncodeTiled, image, scene.vae, 64, 16)["samples"]
    assert encoded.shape == latent["samples"].shape


def test_inpainting_keeps_the_unmasked_area(scene: Scene) -> None:
    image = made(VAEDecode, {"samples": scene.run_sampling()}, scene.vae)
    mask = torch.zeros(1, 128, 128)
    mask[:, :, 64:] = 1
    latent = made(VAEEncodeForInpaint, image, scene.vae, mask, 0)
    assert latent["noise_mask"].shape == (1, 1, 128, 128)
    painted = scene.run_sampling(latent=latent, seed=3)
    torch.testing.assert_close(painted[..., :7], latent["samples"][..., :7], rtol=1e-4, atol=1e-4)
    grown = made(VAEEncodeForInpaint, image, scene.vae, mask, 6)["noise_mask"]
    assert float(grown.sum()) > float(mask.sum())
    positive, negative, whole = made(
        InpaintModelConditioning, scene.positive, scene.negative, image, scene.vae, mask, True
    )
    assert positive[0][1]["concat_mask"].shape == (1, 1, 128, 128)
    assert negative[0][1]["concat_latent_image"].shape == (1, 4, 16, 16)
    torch.testing.assert_close(whole["samples"], made(VAEEncode, image, scene.vae)["samples"])


def test_a_lora_changes_the_image_by_its_strength(scene: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "loras"
    folder.mkdir()
    torch.manual_seed(0)
    target = "output_blocks_0_1_transformer_blocks_0_attn2_to_v"
    save_file(
        {
            f"lora_unet_{target}.lora_up.weight": torch.randn(112, 4) * 0.1,
            f"lora_unet_{target}.lora_down.weight": torch.randn(4, 64) * 0.1,
            "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.randn(256, 4) * 0.1,
            "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.randn(4, 64) * 0.1,
        },
        folder / "some.safetensors",
    )
    plain = scene.run_sampling()
    weak, clip = made(LoraLoader, scene.model, scene.clip, "some.safetensors", 0.1, 1.0)
    strong, _ = made(LoraLoader, scene.model, scene.clip, "some.safetensors", 2.0, 0.0)
    moved = [float((scene.run_sampling(model=model) - plain).norm()) for model in (weak, strong)]
    assert 0 < moved[0] < moved[1]
    assert not torch.equal(made(CLIPTextEncode, PROMPT, clip)[0][0], scene.positive[0][0])
    assert torch.equal(scene.run_sampling(), plain)  # the weights below are unchanged


def test_clip_skip(scene: Scene) -> None:
    skipped = made(CLIPTextEncode, PROMPT, made(CLIPSetLastLayer, scene.clip, -2))
    assert not torch.equal(skipped[0][0], scene.positive[0][0])
    last = made(CLIPTextEncode, PROMPT, made(CLIPSetLastLayer, scene.clip, -1))
    assert torch.equal(last[0][0], scene.positive[0][0])


def test_parts_of_a_checkpoint_alone(scene: Scene) -> None:
    model = made(UNETLoader, BUNDLED, "default")
    assert torch.equal(scene.run_sampling(model=model), scene.run_sampling())
    rounded = scene.run_sampling(model=made(UNETLoader, BUNDLED, "fp8_e4m3fn"))
    assert 0.001 < float((rounded - scene.run_sampling()).square().mean()) < 0.3
    assert made(VAELoader, BUNDLED).shape == scene.vae.shape


def test_a_job_that_is_cancelled_stops_at_the_next_step(scene: Scene, tmp_path: Path) -> None:
    with FolderContext(tmp_path, cancel_after=3).running() as running, pytest.raises(Cancelled):
        scene.run_sampling()
    assert len(running.steps) == 3


def test_missing_parts_of_a_checkpoint_are_reported(scene: Scene) -> None:
    with pytest.raises(NoTextEncoder):
        CLIPTextEncode.execute("a", None)  # type: ignore[arg-type]
    with pytest.raises(NoAutoencoder):
        VAEDecode.execute({"samples": scene.run_sampling(steps=1)}, None)  # type: ignore[arg-type]


def test_invalid_numbers_are_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="at least 1 step"):
        scene.run_sampling(steps=0)
