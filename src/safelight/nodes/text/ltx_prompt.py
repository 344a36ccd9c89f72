"""The node that turns a short idea into a prompt for LTX-2."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from safelight.models.language.picture_recipe import PictureRecipe
from safelight.models.language.writer import writer_of
from safelight.models.text.encoder import TextEncoder
from safelight.nodes.conditioning.encode import require_text_encoder
from safelight.nodes.text.generate import TextGenerate
from safelight.sdk import NodeOutput, Schema

FROM_TEXT = (
    "You write prompts for a model that makes short videos with sound. Turn the user's idea into one paragraph in"
    " the present tense, in the order in which things happen. Say what is seen: the subjects, their looks and "
    "movements, the place, the light, and how the camera moves. Say what is heard: voices, with the exact words "
    "in quotation marks and the manner of speaking, other sounds, and music if there is any. Keep everything that"
    " the user asks for, and add nothing that contradicts it. Describe what can be seen and heard only, no "
    "thoughts and no feelings. Answer with the paragraph alone, without a title and without comments."
)
FROM_IMAGE = (
    "You write prompts for a model that continues an image as a short video with sound. The image is the first "
    "frame. Turn the user's idea into one paragraph in the present tense that says what happens from that frame "
    "on: how the subjects move, what changes, how the camera moves, and what is heard, with spoken words in "
    "quotation marks. Do not describe what the image already shows unless it moves or changes. Keep everything "
    "that the user asks for, and add no cuts to other scenes. Answer with the paragraph alone, without a title "
    "and without comments."
)


class TextGenerateLTX2Prompt(TextGenerate):
    """Write a detailed prompt for LTX-2 from a short idea, with the language model of its text encoder. With an image,
    the prompt continues it; a language model that cannot see writes it from the idea alone."""

    @classmethod
    def define_schema(cls) -> Schema:
        return replace(super().define_schema(), node_id="TextGenerateLTX2Prompt", display_name="Generate LTX2 Prompt")

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
        instructions = system_prompt or (FROM_TEXT if image is None else FROM_IMAGE)
        if not isinstance(writer_of(require_text_encoder(clip)).recipe, PictureRecipe):
            image = video = None
        written, thoughts = (
            super()
            .execute(
                clip,
                prompt,
                max_length,
                sampling_mode,
                image,
                video,
                audio,
                thinking,
                use_default_template,
                mtp,
                instructions,
            )
            .values
        )
        return NodeOutput(written.strip() or prompt, thoughts)
