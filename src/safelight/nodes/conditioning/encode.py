"""Nodes that encode prompts as conditioning."""

from safelight.core.errors import Invalid
from safelight.models.text.encoder import TextEncoder
from safelight.sdk import Node, NodeOutput, Schema, io


class NoTextEncoder(Invalid):
    """The loaded checkpoint contains no text encoder."""

    code = "no_text_encoder"


class CLIPTextEncode(Node):
    """Encode a prompt. Parentheses set weights: (word) counts 1.1 times as much, (word:1.3) 1.3 times."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPTextEncode",
            display_name="CLIP Text Encode (Prompt)",
            category="conditioning",
            inputs=[
                io.String.Input("text", multiline=True, dynamic_prompts=True, tooltip="The text to encode."),
                io.Clip.Input("clip", tooltip="The text encoder."),
            ],
            outputs=[io.Conditioning.Output(tooltip="The encoded text, which guides the model.")],
            search_aliases=["text", "prompt", "text prompt", "positive prompt", "negative prompt", "encode text"],
        )

    @classmethod
    def execute(cls, text: str, clip: TextEncoder) -> NodeOutput:
        encoder = require_text_encoder(clip)
        return NodeOutput(encoder.encode_from_tokens_scheduled(encoder.tokenize(text)))


class CLIPTextEncodeSDXL(Node):
    """Encode a prompt for SDXL: one text for each of its two encoders, with the original size, crop and target size
    that SDXL is conditioned on."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPTextEncodeSDXL",
            category="advanced/conditioning",
            inputs=[
                io.Clip.Input("clip"),
                io.Int.Input("width", default=1024, min=0, max=16384),
                io.Int.Input("height", default=1024, min=0, max=16384),
                io.Int.Input("crop_w", default=0, min=0, max=16384),
                io.Int.Input("crop_h", default=0, min=0, max=16384),
                io.Int.Input("target_width", default=1024, min=0, max=16384),
                io.Int.Input("target_height", default=1024, min=0, max=16384),
                io.String.Input("text_g", multiline=True, dynamic_prompts=True),
                io.String.Input("text_l", multiline=True, dynamic_prompts=True),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(
        cls,
        clip: TextEncoder,
        width: int,
        height: int,
        crop_w: int,
        crop_h: int,
        target_width: int,
        target_height: int,
        text_g: str,
        text_l: str,
    ) -> NodeOutput:
        encoder = require_text_encoder(clip)
        tokens = encoder.tokenize(text_g)
        if "l" in tokens:
            tokens["l"] = encoder.tokenize_for("l", text_l)
        longest = max(map(len, tokens.values()))
        for letter, windows in tokens.items():
            windows += encoder.tokenize_for(letter, "") * (longest - len(windows))
        options = {
            "width": width,
            "height": height,
            "crop_w": crop_w,
            "crop_h": crop_h,
            "target_width": target_width,
            "target_height": target_height,
        }
        return NodeOutput(encoder.encode_from_tokens_scheduled(tokens, add_dict=options))


class CLIPTextEncodeSDXLRefiner(Node):
    """Encode a prompt for SDXL's refiner, with the image size and an aesthetic score ("ascore": higher asks for a more
    pleasing image)."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPTextEncodeSDXLRefiner",
            category="advanced/conditioning",
            inputs=[
                io.Float.Input("ascore", default=6.0, min=0.0, max=1000.0, step=0.01),
                io.Int.Input("width", default=1024, min=0, max=16384),
                io.Int.Input("height", default=1024, min=0, max=16384),
                io.String.Input("text", multiline=True, dynamic_prompts=True),
                io.Clip.Input("clip"),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, ascore: float, width: int, height: int, text: str, clip: TextEncoder) -> NodeOutput:
        encoder = require_text_encoder(clip)
        options = {"aesthetic_score": ascore, "width": width, "height": height}
        return NodeOutput(encoder.encode_from_tokens_scheduled(encoder.tokenize(text), add_dict=options))


class CLIPSetLastLayer(Node):
    """Take the text encoder's output from an earlier layer ("clip skip"): -1 is the last layer, -2 the one before
    it."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPSetLastLayer",
            display_name="CLIP Set Last Layer",
            category="conditioning",
            inputs=[
                io.Clip.Input("clip"),
                io.Int.Input("stop_at_clip_layer", default=-1, min=-24, max=-1, step=1),
            ],
            outputs=[io.Clip.Output()],
            search_aliases=["clip skip"],
        )

    @classmethod
    def execute(cls, clip: TextEncoder, stop_at_clip_layer: int) -> NodeOutput:
        return NodeOutput(require_text_encoder(clip).with_layer(stop_at_clip_layer))


def require_text_encoder(clip: TextEncoder | None) -> TextEncoder:
    """Return the encoder. Raises :class:`NoTextEncoder` if there is none."""
    if clip is None:
        raise NoTextEncoder("the checkpoint contains no text encoder; load one with CLIPLoader or DualCLIPLoader")
    return clip
