"""The node that writes text with a language model."""

from collections.abc import Mapping
from typing import Any

import torch

from safelight.core.errors import Invalid
from safelight.models.language.chat import without_thoughts
from safelight.models.language.token_choice import TokenSampling
from safelight.models.language.writer import Question, writer_of
from safelight.models.text.encoder import TextEncoder
from safelight.nodes.conditioning.encode import require_text_encoder
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current

FRAMES_PER_SECOND = 24
"""Of videos, of which the model sees one frame per second."""
_DRAFTS = ("auto", "off", "2", "3", "4", "5", "tree2s1", "tree2s2", "tree3s1", "tree4s1m8")


class CannotHear(Invalid):
    """No supported language model hears audio."""

    code = "cannot_hear"


class TextGenerate(Node):
    """Write text with a language model, about pictures if it can see."""

    @classmethod
    def define_schema(cls) -> Schema:
        sampled = [
            io.Float.Input("temperature", default=0.7, min=0.01, max=2.0, step=0.000001),
            io.Int.Input("top_k", default=64, min=0, max=1000),
            io.Float.Input("top_p", default=0.95, min=0.0, max=1.0, step=0.01),
            io.Float.Input("min_p", default=0.05, min=0.0, max=1.0, step=0.01),
            io.Float.Input("repetition_penalty", default=1.05, min=0.0, max=5.0, step=0.01),
            io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF),
            io.Float.Input("presence_penalty", default=0.0, min=0.0, max=5.0, step=0.01, optional=True),
        ]
        return Schema(
            node_id="TextGenerate",
            display_name="Generate Text",
            category="text",
            inputs=[
                io.Clip.Input("clip", tooltip="The language model, loaded as a text encoder."),
                io.String.Input("prompt", multiline=True, dynamic_prompts=True, default=""),
                io.Image.Input("image", optional=True),
                io.Image.Input("video", optional=True, tooltip="Frames, 24 per second; one per second is seen."),
                io.Audio.Input("audio", optional=True),
                io.Int.Input("max_length", default=512, min=1, max=32768, tooltip="The most tokens to write."),
                io.DynamicCombo.Input("sampling_mode", [io.Option("on", sampled), io.Option("off")]),
                io.Boolean.Input("thinking", default=False, optional=True),
                io.Boolean.Input("use_default_template", default=True, optional=True, advanced=True),
                io.Combo.Input("mtp", _DRAFTS, default="auto", optional=True, advanced=True),
                io.String.Input("system_prompt", default="", optional=True, force_input=True),
            ],
            outputs=[io.String.Output("generated_text"), io.String.Output("thinking")],
        )

    @classmethod
    def execute(
        cls,
        clip: TextEncoder,
        prompt: str,
        max_length: int,
        sampling_mode: Mapping[str, Any],
        image: torch.Tensor | None = None,
        video: torch.Tensor | None = None,
        audio: Any = None,
        thinking: bool = False,
        use_default_template: bool = True,
        mtp: str = "auto",
        system_prompt: str | None = "",
    ) -> NodeOutput:
        if audio is not None:
            raise CannotHear("no supported language model hears audio; leave the input 'audio' empty")
        seen = [] if image is None else [one[None] for one in image]
        seen += [] if video is None else [frame[None] for frame in video[::FRAMES_PER_SECOND]]
        question = Question(prompt, system_prompt or "", tuple(seen), thinking, use_default_template)
        answer = ""
        pieces = writer_of(require_text_encoder(clip)).write(
            question, sampling=_sampling(sampling_mode), seed=int(sampling_mode.get("seed", 0)), length=max_length
        )
        for count, answer in enumerate(pieces, start=1):
            current().show_text(answer)
            current().progress(count, max_length)
        return NodeOutput(*without_thoughts(answer))


def _sampling(chosen: Mapping[str, Any]) -> TokenSampling:
    if chosen["sampling_mode"] != "on":
        return TokenSampling()
    return TokenSampling(
        temperature=chosen["temperature"],
        top_k=chosen["top_k"],
        top_p=chosen["top_p"],
        min_p=chosen["min_p"],
        repetition=chosen["repetition_penalty"],
        presence=chosen.get("presence_penalty", 0.0),
    )
