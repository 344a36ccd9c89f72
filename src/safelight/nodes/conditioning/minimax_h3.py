"""Nodes of MiniMax H3: the latent of a film with its sound, prompts with frames or references, and noise levels."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from safelight.core.errors import Invalid
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.families.minimax_h3.conditioning import Given, H3Conditioning
from safelight.models.families.minimax_h3.frames import (
    CLIP,
    CLIP_LATENTS,
    aligned,
    cut_to_clips,
    latent_frames,
    shown_frames,
    sound_positions,
)
from safelight.models.families.minimax_h3.latent import H3_LATENT, silence
from safelight.models.families.minimax_h3.text import Presentation
from safelight.models.nested import NestedTensor
from safelight.models.sampling.levels import FlowLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Flow
from safelight.models.stored_network import StoredNetwork
from safelight.models.text.encoder import TextEncoder
from safelight.nodes.audio.waveform import Audio
from safelight.nodes.conditioning.encode import require_text_encoder
from safelight.nodes.conditioning.options import Conditioning, with_appended
from safelight.nodes.image.resampling import resize
from safelight.nodes.latent.audio import encoded_audio, require_audio_autoencoder
from safelight.nodes.latent.autoencoder import require_autoencoder
from safelight.nodes.latent.samples import Latent
from safelight.nodes.latent.zeros import zeros
from safelight.sdk import Node, NodeOutput, Schema, io

MULTIPLE = 32
"""Sides are multiples of so many pixels."""
LONGEST = 3600
LARGEST_REFERENCE = 2048
"""Pixels of a reference's shorter side."""
_CATEGORY = "conditioning/video_models"


class NotMiniMaxH3(Invalid):
    """The node works only with MiniMax H3."""

    code = "not_minimax_h3"


class BadGuide(Invalid):
    """A guide or a reference that has nothing to show, or does not fit into the film."""

    code = "bad_guide"


def empty_film(width: int, height: int, length: int) -> Latent:
    """The empty latent of a film and of its sound; ``length`` frames, or the next number that films have."""
    shape = (latent_frames(aligned(length)), height // H3_LATENT.downscale, width // H3_LATENT.downscale)
    film = zeros(1, H3_LATENT.channels, *shape)
    return {"samples": NestedTensor([film, *silence(film)])}


def _size_inputs() -> list[io.Input]:
    return [
        io.Int.Input("width", default=1344, min=MULTIPLE, max=16384, step=MULTIPLE),
        io.Int.Input("height", default=768, min=MULTIPLE, max=16384, step=MULTIPLE),
        io.Int.Input(
            "length", default=124, min=CLIP_LATENTS, max=LONGEST, step=CLIP, tooltip="Frames, 24 a second: 17 n + 5."
        ),
    ]


class EmptyMiniMaxH3LatentAV(Node):
    """Create an empty latent of a film and its sound for MiniMax H3. The length grows to the next 17 n + 5 frames."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyMiniMaxH3LatentAV",
            display_name="Empty MiniMax H3 AV Latent",
            category="latent/video",
            inputs=_size_inputs(),
            outputs=[io.Latent.Output("latent")],
        )

    @classmethod
    def execute(cls, width: int, height: int, length: int) -> NodeOutput:
        return NodeOutput(empty_film(width, height, length))


class MiniMaxH3ImageToVideo(Node):
    """Encode a prompt for MiniMax H3, with a first and a last frame if there are any, and create the empty latent of
    the film and its sound. The first frame is stretched to the film's size, the last is cropped to it."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="MiniMaxH3ImageToVideo",
            display_name="MiniMax H3 Image to Video",
            category=_CATEGORY,
            inputs=[
                io.Clip.Input("clip"),
                io.Vae.Input("vae"),
                io.String.Input("prompt", multiline=True, dynamic_prompts=True),
                *_size_inputs(),
                io.Image.Input("first_frame", optional=True),
                io.Image.Input("last_frame", optional=True),
            ],
            outputs=[io.Conditioning.Output("positive"), io.Latent.Output("latent")],
        )

    @classmethod
    def execute(
        cls,
        clip: TextEncoder,
        vae: Any,
        prompt: str,
        width: int,
        height: int,
        length: int,
        first_frame: torch.Tensor | None = None,
        last_frame: torch.Tensor | None = None,
    ) -> NodeOutput:
        shown, frames = Presentation(), []
        if first_frame is not None:
            frames.append((0, resize(first_frame[:1, ..., :3], width, height, method="bilinear")))
        if last_frame is not None:
            cropped = resize(last_frame[:1, ..., :3], width, height, method="bilinear", crop="center")
            frames.append((aligned(length) - 1, cropped))
        for _, image in frames:
            shown.add_picture(image)
        positive = _encoded(clip, shown, prompt)
        for frame, image in frames:
            guide = Given("guide", require_autoencoder(vae).encode(image), frame=frame)
            positive = with_appended(positive, "h3_guides", guide)
        return NodeOutput(positive, empty_film(width, height, length))


class MiniMaxH3ReferenceToVideo(Node):
    """Encode a prompt for MiniMax H3 with references, which it calls <Picture 1>, <Video 1>, <Audio 1> and so on, and
    create the empty latent. With the VAEs, the model gets the references themselves; without, only what the text
    encoder sees of them."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="MiniMaxH3ReferenceToVideo",
            display_name="MiniMax H3 Reference to Video",
            category=_CATEGORY,
            inputs=[
                io.Clip.Input("clip"),
                io.Vae.Input("vae", optional=True, tooltip="Of films."),
                io.Vae.Input("audio_vae", optional=True),
                io.String.Input("prompt", multiline=True, dynamic_prompts=True),
                *_size_inputs(),
                io.Combo.Input(
                    "ref_image_size",
                    ("match", "max"),
                    default="match",
                    tooltip='"match": about the film\'s size; "max": up to 2048 pixels, which takes longer.',
                ),
                io.Autogrow.Input("ref_images", io.Image.Input("ref_image"), prefix="ref_image_", min=0, max=9),
                io.Autogrow.Input("ref_videos", io.Image.Input("ref_video"), prefix="ref_video_", min=0, max=3),
                io.Autogrow.Input(
                    "ref_video_audios", io.Audio.Input("ref_video_audio"), prefix="ref_video_audio_", min=0, max=3
                ),
                io.Autogrow.Input("ref_audios", io.Audio.Input("ref_audio"), prefix="ref_audio_", min=0, max=3),
            ],
            outputs=[io.Conditioning.Output("positive"), io.Latent.Output("latent")],
        )

    @classmethod
    def execute(
        cls,
        clip: TextEncoder,
        prompt: str,
        width: int,
        height: int,
        length: int,
        ref_image_size: str,
        vae: Any = None,
        audio_vae: Any = None,
        ref_images: Mapping[str, torch.Tensor] | None = None,
        ref_videos: Mapping[str, torch.Tensor] | None = None,
        ref_video_audios: Mapping[str, Audio] | None = None,
        ref_audios: Mapping[str, Audio] | None = None,
    ) -> NodeOutput:
        frames = aligned(length)
        shown, given = Presentation(), _References(vae, audio_vae, frames)
        for image in _listed(ref_images):
            largest = width * height if ref_image_size == "match" else None
            scaled = _shrunk(image[:1, ..., :3], largest)
            shown.add_picture(scaled)
            given.add("image", film=scaled)
        sounds = {name.rpartition("_")[2]: audio for name, audio in (ref_video_audios or {}).items()}
        for name, video in (ref_videos or {}).items():
            if video is None:
                continue
            if len(video) < CLIP_LATENTS:
                raise BadGuide(f"a reference video needs at least 5 frames, but {name!r} has {len(video)}")
            kept = _shrunk(video[: cut_to_clips(min(len(video), frames)), ..., :3], width * height)
            audio = sounds.get(name.rpartition("_")[2])
            if audio is not None:
                shown.add_sound()
            shown.add_film(kept)
            given.add("video", film=kept, audio=audio)
        for audio in _listed(ref_audios):
            shown.add_sound()
            given.add("sound", audio=audio)
        positive = _encoded(clip, shown, prompt)
        for one in given.made:
            positive = with_appended(positive, "h3_references", one)
        return NodeOutput(positive, empty_film(width, height, length))


class _References:
    """Mutable: collects references as the network gets them."""

    def __init__(self, vae: Any, audio_vae: Any, frames: int) -> None:
        self.made: list[Given] = []
        self._vae, self._audio_vae, self._frames = vae, audio_vae, frames

    def add(self, kind: Any, *, film: torch.Tensor | None = None, audio: Audio | None = None) -> None:
        encoded = None if film is None or self._vae is None else require_autoencoder(self._vae).encode(film)
        sound = None
        if audio is not None and self._audio_vae is not None:
            sound = encoded_audio(audio, require_audio_autoencoder(self._audio_vae))
            sound = sound[:1, :, : sound_positions(self._frames)]
        if encoded is None and sound is not None:
            kind = "sound"
        if encoded is not None or sound is not None:
            self.made.append(Given(kind, encoded, sound))


class MiniMaxH3AddGuide(Node):
    """Anchor an image, a clip, a sound or a clip with its sound at a frame of MiniMax H3's film. Several of these nodes
    anchor several frames."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="MiniMaxH3AddGuide",
            display_name="Add Guide for MiniMax H3",
            category=_CATEGORY,
            inputs=[
                io.Conditioning.Input("positive"),
                io.Vae.Input("vae", optional=True, tooltip="Of films; needed with an image."),
                io.Vae.Input("audio_vae", optional=True, tooltip="Needed with audio."),
                io.Latent.Input("latent"),
                io.Image.Input("image", optional=True, tooltip="5 or more are a clip, cut to 17 n + 5 frames."),
                io.Audio.Input("audio", optional=True),
                io.Int.Input(
                    "frame_idx", default=0, min=-9999, max=9999, tooltip="Negative numbers count from the end."
                ),
            ],
            outputs=[io.Conditioning.Output("positive")],
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        latent: Latent,
        frame_idx: int,
        vae: Any = None,
        audio_vae: Any = None,
        image: torch.Tensor | None = None,
        audio: Audio | None = None,
    ) -> NodeOutput:
        film, sounds = _parts(latent)
        frames = shown_frames(film.shape[2])
        frame = frame_idx + frames if frame_idx < 0 else frame_idx
        if image is None and audio is None:
            raise BadGuide("the guide has neither an image nor audio")
        if not 0 <= frame < frames:
            raise BadGuide(f"frame_idx {frame_idx} is outside of the film, which has {frames} frames")
        encoded = sound = None
        if image is not None:
            if vae is None:
                raise BadGuide("a guide with an image needs the VAE of films")
            clip = image[: cut_to_clips(len(image)), ..., :3]
            if len(clip) > 1 and frame + len(clip) > frames:
                raise BadGuide(
                    f"a clip of {len(clip)} frames at frame {frame} is longer than the film of {frames} frames"
                )
            height, width = film.shape[-2] * H3_LATENT.downscale, film.shape[-1] * H3_LATENT.downscale
            encoded = require_autoencoder(vae).encode(resize(clip, width, height, method="bilinear", crop="center"))
        if audio is not None:
            if audio_vae is None:
                raise BadGuide("a guide with audio needs the VAE of audio")
            left = sounds.shape[2] - sound_positions(frame)
            sound = encoded_audio(audio, require_audio_autoencoder(audio_vae))[:1, :, : max(left, 1)]
        return NodeOutput(with_appended(positive, "h3_guides", Given("guide", encoded, sound, frame)))


class MiniMaxH3SigmaShift(Node):
    """Shift the noise levels of MiniMax H3: those of the film, which the sampler uses, and those of the sound, which
    follow from them."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="MiniMaxH3SigmaShift",
            display_name="MiniMax H3 Sigma Shift",
            category="advanced/model",
            inputs=[
                io.Model.Input("model"),
                io.Float.Input("shift_video", default=12.0, min=0.01, max=100.0, step=0.01),
                io.Float.Input("shift_audio", default=3.0, min=0.01, max=100.0, step=0.01),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, shift_video: float, shift_audio: float) -> NodeOutput:
        network, conditioning = h3_network(model, "MiniMaxH3SigmaShift")
        shifted = replace(network, conditioning=conditioning.with_shifts(shift_video, shift_audio))
        levels = Parameterization(Flow(), FlowLevels(shift=shift_video, multiplier=1.0))
        return NodeOutput(model.with_(network=shifted, parameterization=levels))


def h3_network(model: DiffusionModel, node: str) -> tuple[StoredNetwork, H3Conditioning]:
    """The network of a model. Raises :class:`NotMiniMaxH3`."""
    network = model.network
    if isinstance(network, StoredNetwork) and isinstance(network.conditioning, H3Conditioning):
        return network, network.conditioning
    raise NotMiniMaxH3(f"{node} works only with MiniMax H3, but the model is {model.family!r}")


def _parts(latent: Latent) -> tuple[torch.Tensor, torch.Tensor]:
    samples = latent["samples"]
    tensors = list(samples) if isinstance(samples, NestedTensor) else [samples]
    if len(tensors) != 1 + len(H3_LATENT.others) or tensors[0].shape[1] != H3_LATENT.channels:
        raise BadGuide("the latent is not one of a film with its sound; make it with a node of MiniMax H3")
    return tensors[0], tensors[1]


def _encoded(clip: TextEncoder, shown: Presentation, prompt: str) -> Conditioning:
    encoder = require_text_encoder(clip)
    tokens = encoder.tokenize(shown.text + prompt, images=shown.pictures)
    return encoder.encode_from_tokens_scheduled(tokens)


def _listed(given: Mapping[str, Any] | None) -> list[Any]:
    return [value for value in (given or {}).values() if value is not None]


def _shrunk(frames: torch.Tensor, largest: int | None) -> torch.Tensor:
    """``[n, H, W, 3]`` with at most so many pixels, or with a shorter side of at most 2048, and sides in whole tokens;
    never enlarged by more than what that takes."""
    height, width = frames.shape[1:3]
    factor = LARGEST_REFERENCE / min(height, width) if largest is None else (largest / (height * width)) ** 0.5
    factor = min(factor, 1.0)
    sides = [max(round(side * factor / MULTIPLE), 1) * MULTIPLE for side in (width, height)]
    return frames if sides == [width, height] else resize(frames, *sides, method="area")
