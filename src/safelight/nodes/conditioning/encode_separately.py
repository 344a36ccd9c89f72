"""Nodes that encode a text of its own for each text encoder of a family."""

from collections.abc import Mapping

from safelight.core.errors import Invalid
from safelight.models.text.encoder import TextEncoder
from safelight.nodes.conditioning.encode import require_text_encoder
from safelight.sdk import Node, NodeOutput, Schema, io

CLIP_KEYS = ("l", "g")


class OtherTextEncoder(Invalid):
    """The text encoder is of another family than the node."""

    code = "wrong_text_encoder"


def _text(id: str) -> io.Input:
    return io.String.Input(id, multiline=True, dynamic_prompts=True)


class CLIPTextEncodeFlux(Node):
    """Encode a prompt for Flux: one text for CLIP L, whose summary steers the picture as a whole, and one for T5.
    "guidance" is how closely to follow them."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPTextEncodeFlux",
            category="advanced/conditioning/flux",
            inputs=[
                io.Clip.Input("clip"),
                _text("clip_l"),
                _text("t5xxl"),
                io.Float.Input("guidance", default=3.5, min=0.0, max=100.0, step=0.1),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, clip: TextEncoder, clip_l: str, t5xxl: str, guidance: float) -> NodeOutput:
        encoder = require_encoders(clip, ("l", "t5xxl"), kind="flux")
        tokens = _tokens(encoder, {"l": clip_l, "t5xxl": t5xxl})
        return NodeOutput(encoder.encode_from_tokens_scheduled(tokens, add_dict={"guidance": guidance}))


class CLIPTextEncodeSD3(Node):
    """Encode a prompt for Stable Diffusion 3: one text for each of its encoders. "empty_padding" is what an empty text
    becomes: nothing, or an empty prompt."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPTextEncodeSD3",
            category="advanced/conditioning",
            inputs=[
                io.Clip.Input("clip"),
                _text("clip_l"),
                _text("clip_g"),
                _text("t5xxl"),
                io.Combo.Input("empty_padding", ["none", "empty_prompt"]),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, clip: TextEncoder, clip_l: str, clip_g: str, t5xxl: str, empty_padding: str) -> NodeOutput:
        encoder = require_encoders(clip, (), kind="sd3")
        texts = {"l": clip_l, "g": clip_g, "t5xxl": t5xxl}
        known = {key: text for key, text in texts.items() if key in encoder.recipe.encoders}
        pads = empty_padding == "empty_prompt"
        if not (pads or any(texts[key] for key in CLIP_KEYS)):
            known = {key: text for key, text in known.items() if key not in CLIP_KEYS}
        tokens = _tokens(encoder, known)
        if "t5xxl" in known and not (pads or t5xxl):
            shortest = {"tokenizer_options": {"t5xxl_min_length": 0}}
            tokens["t5xxl"] = encoder.tokenize_for("t5xxl", "", **shortest)
        return NodeOutput(encoder.encode_from_tokens_scheduled(tokens))


class CLIPTextEncodeHiDream(Node):
    """Encode a prompt for HiDream: one text for each of its encoders."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPTextEncodeHiDream",
            category="advanced/conditioning",
            inputs=[io.Clip.Input("clip"), _text("clip_l"), _text("clip_g"), _text("t5xxl"), _text("llama")],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, clip: TextEncoder, clip_l: str, clip_g: str, t5xxl: str, llama: str) -> NodeOutput:
        encoder = require_encoders(clip, ("llama",), kind="hidream")
        texts = {"l": clip_l, "g": clip_g, "t5xxl": t5xxl, "llama": llama}
        known = {key: text for key, text in texts.items() if key in encoder.recipe.encoders}
        return NodeOutput(encoder.encode_from_tokens_scheduled(_tokens(encoder, known)))


def require_encoders(clip: TextEncoder | None, keys: tuple[str, ...], *, kind: str) -> TextEncoder:
    """Return the text encoders. Raises :class:`OtherTextEncoder` if they are not those of this type."""
    encoder = require_text_encoder(clip)
    if not set(keys) <= encoder.recipe.encoders.keys() or kind not in encoder.recipe.types:
        raise OtherTextEncoder(
            f"these are the text encoders of {encoder.recipe.title or 'another family'}; load them with type {kind!r}"
        )
    return encoder


def _tokens(encoder: TextEncoder, texts: Mapping[str, str]) -> dict[str, list[list[tuple[object, float]]]]:
    """The tokens of each text. Those of CLIP are padded with empty windows to the same number."""
    tokens = {key: encoder.tokenize_for(key, text) for key, text in texts.items()}
    longest = max((len(tokens[key]) for key in CLIP_KEYS if key in tokens), default=0)
    for key in CLIP_KEYS:
        if key in tokens:
            tokens[key] = tokens[key] + encoder.tokenize_for(key, "") * (longest - len(tokens[key]))
    return tokens
