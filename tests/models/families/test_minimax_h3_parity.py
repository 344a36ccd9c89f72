"""MiniMax H3's network, sequence and autoencoders against diffusers."""

from itertools import pairwise
from typing import Any

import pytest
import torch

from safelight.models.autoencoder.h3_audio_module import H3AudioAutoencoder, h3_audio_shape
from safelight.models.autoencoder.h3_video_module import H3VideoAutoencoder, frame_count, h3_video_shape
from safelight.models.families.minimax_h3.layout import FRAME, SOUND, TEXT, VIDEO, Part, layout
from safelight.models.families.minimax_h3.network import (
    H3Inputs,
    H3Shape,
    MiniMaxH3,
    film_rows,
    h3_shape,
    sound_level,
    sound_rows,
)
from safelight.models.miniatures.writing import random_weights
from safelight.models.nested import NestedTensor

SHAPE = H3Shape(
    channels=6,
    sound_channels=5,
    width=48,
    text_width=20,
    heads=2,
    head_width=128,
    feed_forward=64,
    layers=2,
    refining=2,
    time_width=24,
    time_hidden=40,
    table=0,
)
SHIFTS = (12.0, 3.0)


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def far(made: torch.Tensor, expected: torch.Tensor) -> float:
    return float((made - expected).norm() / expected.norm())


def network() -> MiniMaxH3:
    made = MiniMaxH3(SHAPE)
    weights = random_weights(made)
    for seed, name in enumerate(weights):
        if name.endswith("bias"):
            weights[name] = random(*weights[name].shape, seed=seed) * 0.3
    made.load_state_dict(weights)
    return made.eval()


def diffusers_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from diffusers.loaders.single_file_utils import convert_minimax_h3_transformer_checkpoint_to_diffusers

    return convert_minimax_h3_transformer_checkpoint_to_diffusers(dict(state), {})


def theirs(state: dict[str, torch.Tensor]) -> Any:
    from diffusers import MiniMaxH3Transformer3DModel

    model = MiniMaxH3Transformer3DModel(
        num_attention_heads=2,
        attention_head_dim=128,
        hidden_size=48,
        num_layers=2,
        num_refiner_layers=2,
        ffn_dim=64,
        in_channels=6,
        audio_in_channels=5,
        text_dim=20,
        time_embed_hidden_dim=40,
        time_embed_dim=24,
    )
    model.load_state_dict(diffusers_names(state))
    return model.eval()


CONTEXT = random(1, 7, 20, seed=1)
TAGS = torch.tensor([[TEXT, VIDEO, VIDEO, VIDEO, TEXT, TEXT, TEXT]])
FILM, SOUND_LATENT = random(1, 6, 7, 4, 6, seed=2), random(1, 5, 9, 1, 2, seed=3)
GIVEN = (Part("image", (1, 2, 4)), Part("video", (2, 4, 4), 3), Part("sound", None, 4))
FILMS = (random(1, 6, 1, 2, 4, seed=4), random(1, 6, 2, 4, 4, seed=5))
SOUNDS = (random(1, 5, 3, 1, 2, seed=6), random(1, 5, 4, 1, 2, seed=7))


def expected_sequence(kind: str) -> tuple[Any, ...]:
    from diffusers.modular_pipelines.minimax_h3 import before_denoise, references

    tags = TAGS[0]
    size = {"num_latent_frames": 7, "latent_height": 4, "latent_width": 6, "num_audio_latents": 9}
    more = {"patch_size": (1, 2, 2), "audio_channels": 2, "audio_tag": SOUND, "video_tag": VIDEO}
    if kind == "references":
        made = object.__new__
        listed = []
        for name, has_audio in (("Image", False), ("Video", True), ("Audio", True)):
            one = made(getattr(references, f"MiniMaxH3{name}Reference"))
            if name == "Video":
                one.audio = torch.zeros(2, 4)
            assert one.has_audio == has_audio
            listed.append(one)
        return before_denoise.MiniMaxH3Ref2VAPrepareLayoutStep.build_ref2va_packed_sequence(
            tags, listed, list(FILMS), [sound_rows(one)[0] for one in SOUNDS], **size, **more
        )
    anchors = ("first", "last") if kind == "keyframes" else ()
    return before_denoise.MiniMaxH3PrepareLayoutStep.build_packed_sequence(
        tags, **size, **more, keyframe_anchors=anchors
    )


def parts_of(kind: str) -> tuple[tuple[Part, ...], tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    if kind == "references":
        return GIVEN, FILMS, SOUNDS
    if kind == "keyframes":
        frames = (random(1, 6, 1, 4, 6, seed=8), random(1, 6, 1, 4, 6, seed=9))
        return (Part("guide", (1, 4, 6)), Part("guide", (1, 4, 6), frame=21)), frames, ()
    return (), (), ()


@torch.no_grad()
@pytest.mark.parametrize("kind", ["text", "keyframes", "references"])
def test_the_network_and_its_sequence_equal_diffusers(kind: str) -> None:
    from diffusers.modular_pipelines.minimax_h3.before_denoise import MiniMaxH3SetTimestepsStep

    positions, tags, films_at, sounds_at, text_at, given_films, given_sounds = expected_sequence(kind)
    parts, films, sounds = parts_of(kind)
    ours = network()
    model = theirs(ours.state_dict())
    sigma = torch.tensor([0.8])
    level = sound_level(sigma, SHIFTS)
    times, chosen = MiniMaxH3SetTimestepsStep.build_row_timesteps(
        films_at, sounds_at, given_films, given_sounds, 7, float(1 - sigma), float(1 - level), 0.999, 1.0
    )
    output = model(
        hidden_states=torch.cat([film_rows(one) for one in (*films, FILM)], dim=1),
        audio_hidden_states=torch.cat([sound_rows(one) for one in (*sounds, SOUND_LATENT)], dim=1),
        encoder_hidden_states=CONTEXT,
        timestep=times,
        timestep_indices=chosen,
        token_tags=tags,
        position_ids=positions,
        video_indices=films_at,
        audio_indices=sounds_at,
        text_indices=text_at,
    )
    inputs = H3Inputs(CONTEXT, TAGS, parts, films, sounds, sigmas=(0.8, 0.0), shifts=SHIFTS)
    film, sound = ours(NestedTensor([FILM, SOUND_LATENT]), sigma, inputs)
    assert far(film_rows(film), -output.sample[:, given_films:]) < 1e-5
    assert far(sound_rows(sound) / float(level / sigma), -output.audio_sample[:, given_sounds:]) < 1e-5
    places = layout(7, parts, (7, 4, 6), 9)
    assert torch.equal(places.text, positions[text_at])
    torch.testing.assert_close(torch.cat((*places.films, places.film)), positions[films_at], rtol=0, atol=1e-9)
    torch.testing.assert_close(torch.cat((*places.sounds, places.sound)), positions[sounds_at], rtol=0, atol=1e-9)


@torch.no_grad()
def test_four_steps_equal_both_schedules_of_diffusers() -> None:
    from diffusers.modular_pipelines.minimax_h3.before_denoise import MiniMaxH3SetTimestepsStep
    from diffusers.schedulers.scheduling_minimax_h3 import MiniMaxH3Scheduler

    positions, tags, films_at, sounds_at, text_at, _, _ = expected_sequence("text")
    ours = network()
    model = theirs(ours.state_dict())
    schedulers = [MiniMaxH3Scheduler(shift) for shift in SHIFTS]
    for scheduler in schedulers:
        scheduler.set_timesteps(5)
    film, sound = film_rows(FILM)[0], sound_rows(SOUND_LATENT)[0]
    for film_time, sound_time in zip(schedulers[0].timesteps, schedulers[1].timesteps, strict=True):
        times, chosen = MiniMaxH3SetTimestepsStep.build_row_timesteps(
            films_at, sounds_at, 0, 0, 7, float(film_time), float(sound_time), 0.999, 1.0
        )
        output = model(
            hidden_states=film[None],
            audio_hidden_states=sound[None],
            encoder_hidden_states=CONTEXT,
            timestep=times,
            timestep_indices=chosen,
            token_tags=tags,
            position_ids=positions,
            video_indices=films_at,
            audio_indices=sounds_at,
            text_indices=text_at,
        )
        film = schedulers[0].step(output.sample[0], film_time, film).prev_sample
        sound = schedulers[1].step(output.audio_sample[0], sound_time, sound).prev_sample
    sigmas = [float(sigma) for sigma in schedulers[0].sigmas]
    inputs = H3Inputs(CONTEXT, TAGS, sigmas=tuple(sigmas), shifts=SHIFTS)
    parts = [FILM, SOUND_LATENT]
    for now, following in pairwise(sigmas):
        made = ours(NestedTensor(parts), torch.tensor([now]), inputs)
        parts = [x + (following - now) * velocity for x, velocity in zip(parts, made, strict=True)]
    assert far(film_rows(parts[0])[0], film) < 1e-4
    assert far(sound_rows(parts[1])[0], sound) < 1e-4


@torch.no_grad()
def test_a_pruned_file_reads_its_table_at_the_timestep() -> None:
    whole = network()
    state = whole.state_dict()
    pruned = {name: value for name, value in state.items() if not name.startswith("time_embedder.")}
    times = torch.linspace(0, 1, 4001)
    pruned["adaln_t_table"] = torch.cat(
        [whole._read_times(1 - time[None], SHIFTS, torch.float32)[0, :1] for time in times]
    )
    shape = h3_shape({name: value.shape for name, value in pruned.items()})
    assert shape.table == 4001
    ours = MiniMaxH3(shape)
    ours.load_state_dict(pruned)
    inputs = H3Inputs(CONTEXT, TAGS, sigmas=(0.8, 0.4, 0.0))
    x, sigma = NestedTensor([FILM, SOUND_LATENT]), torch.tensor([0.8])
    for made, expected in zip(ours(x, sigma, inputs), whole(x, sigma, inputs), strict=True):
        assert far(made, expected) < 1e-4


@torch.no_grad()
@pytest.mark.parametrize("has_statistics", [False, True])
def test_the_autoencoder_of_films_equals_diffusers_in_time_and_in_tiles(has_statistics: bool) -> None:
    from diffusers import AutoencoderKLMiniMaxH3

    model = AutoencoderKLMiniMaxH3(
        latent_channels=6,
        block_out_channels=(32, 32, 32, 32, 32, 32),
        layers_per_block=1,
        decoder_num_layers=2,
        decoder_num_attention_heads=1,
        decoder_num_register_tokens=2,
    ).eval()
    generator = torch.Generator().manual_seed(0)
    for value in model.parameters():
        value.data = torch.randn(value.shape, generator=generator) * (0.1 if value.dim() > 1 else 0.5)
    state = dict(model.state_dict())
    means, deviations = torch.zeros(6), torch.ones(6)
    if has_statistics:
        means, deviations = random(6, seed=1), random(6, seed=2).abs() + 0.5
        state |= {"latents_mean": means, "latents_std": deviations}
    ours = H3VideoAutoencoder(h3_video_shape({name: value.shape for name, value in state.items()})).eval()
    ours.load_state_dict(state)
    mean, deviation = (
        torch.tensor(values)[:, None, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )

    def scaled(latent: torch.Tensor) -> torch.Tensor:
        return (latent - means[:, None, None, None]) / deviations[:, None, None, None]

    for frames, height, width in ((1, 272, 288), (22, 32, 32), (22, 32, 272)):
        film = torch.rand(1, 3, frames, height, width, generator=generator)
        expected = model.encode((film - mean) / deviation).latent_dist.mode()
        latent = ours.encode(film)
        assert far(latent, scaled(expected)) < 1e-5
        made = ours.decode(latent)
        assert made.shape == film.shape
        if frames > 1:
            assert far(made, model.decode(expected).sample * deviation + mean) < 1e-5
        else:  # diffusers decodes no single frame: that is the last frame of the latent's four
            whole = model._decode_clip(expected) * deviation + mean
            assert far(made, whole[:, :, 3:]) < 1e-5
    for latents in (1, 2, 5, 7, 9, 12):
        pieces = list(ours.pieces(torch.zeros(1, 6, latents, 2, 2)))
        assert sum(piece.shape[2] for piece in pieces) == frame_count(latents)
    assert [frame_count(latents) for latents in (1, 2, 7, 12)] == [1, 5, 22, 39]


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_the_autoencoder_of_sound_equals_diffusers() -> None:
    from diffusers import AutoencoderKLMiniMaxH3Audio

    model = AutoencoderKLMiniMaxH3Audio(
        encoder_dim=4,
        encoder_rates=(2, 4, 5),
        latent_dim=32,
        latent_channels=8,
        num_attention_heads=8,
        decoder_dim=16,
        decoder_rates=(5, 2, 2, 2),
        decoder_kernel_sizes=(9, 4, 4, 4),
    ).eval()
    generator = torch.Generator().manual_seed(0)
    for value in model.parameters():
        value.data = torch.randn(value.shape, generator=generator) * 0.2
    state = dict(model.state_dict())
    shape = h3_audio_shape({name: value.shape for name, value in state.items()})
    assert (shape.samples, shape.steps) == (40, ((9, 5), (4, 2), (4, 2), (4, 2)))
    ours = H3AudioAutoencoder(shape).eval()
    ours.load_state_dict(state)
    waveform = torch.rand(2, 1, 410, generator=generator) * 2 - 1
    latent = ours.encode(waveform)
    assert latent.shape == (2, 8, 11)
    assert far(latent, model.encode(waveform).latent_dist.mode()) < 1e-5
    assert far(ours.decode(latent), model.decode(latent).sample) < 1e-5


def test_the_last_frame_of_a_film_is_where_diffusers_places_it() -> None:
    assert Part("video", (7, 4, 6)).length == pytest.approx(22 * FRAME)
