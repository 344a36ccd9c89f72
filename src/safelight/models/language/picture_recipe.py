"""Language models that see pictures in a prompt: Qwen2.5-VL, Qwen3-VL and Qwen3.5."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from safelight.core.errors import Invalid
from safelight.models.language.architecture import DecoderShape, decoder_shape
from safelight.models.language.decoder import Decoder
from safelight.models.language.recipe import EmbeddedPrompt, LanguageRecipe
from safelight.models.text.chunks import Window
from safelight.models.text.whole_prompt import embedded_row
from safelight.models.tokenizers.finding import tokenizer_of
from safelight.models.vision_tower.patches import MERGE, patches
from safelight.models.vision_tower.qwen25 import QWEN25_TOWER
from safelight.models.vision_tower.tower import SeenPicture, Tower
from safelight.models.weights import Weights

PICTURE_TOKEN = "<|image_pad|>"
"""Stands for a picture."""
_MESSAGE_STARTS = ("<|im_start|>", "<|start_header_id|>")


class CannotSee(Invalid):
    """The text encoder has no image encoder, but the prompt has a picture."""

    code = "cannot_see"


class PictureDecoder(Decoder):
    """A decoder with an image encoder below ``visual.``"""

    def __init__(self, shape: DecoderShape, visual: nn.Module | None) -> None:
        super().__init__(shape)
        self.visual = visual


@dataclass(frozen=True, eq=False)
class FramePair:
    """Two frames of a film, seen as one picture: ``[2, H, W, 3]`` in 0..1."""

    frames: torch.Tensor


@dataclass(frozen=True, eq=False)
class Picture:
    """A token: an image ``[H, W, 3]``, or two frames ``[2, H, W, 3]``, in 0..1."""

    image: torch.Tensor


@dataclass(frozen=True)
class PictureRecipe(LanguageRecipe):
    """``picture_template``: the template of a prompt with pictures."""

    picture_template: str = "{}"
    tower: Tower = QWEN25_TOWER

    def build(self, weights: Weights) -> PictureDecoder:
        shape = decoder_shape(weights.shapes, self.architecture).without_head()
        sees = "visual.patch_embed.proj.weight" in weights
        return PictureDecoder(shape, self.tower.build(weights.shapes) if sees else None)

    def tokenize(self, text: str, weights: Weights, options: Mapping[str, Any]) -> list[Window]:
        """``options``: ``images``, each ``[B, H, W, 3]``, of which the first is seen, or a :class:`FramePair`. A text
        that begins like a message is not put into the template."""
        images = list(options.get("images") or ())
        if options.get("prevent_empty_text") and not text:
            text = " "
        template = options.get("llama_template") or (self.picture_template if images else self.template)
        if text.startswith(_MESSAGE_STARTS):
            template = "{}"
        (window,) = super().tokenize(text, weights, {**options, "llama_template": template})
        if not images:
            return [window]
        (pad, *_) = tokenizer_of(weights, title=self.title, otherwise=self.vocabulary).encode(PICTURE_TOKEN)
        seen = iter(images)
        made: Window = []
        for token, weight in window:
            image = next(seen, None) if isinstance(token, int) and token == pad else None
            shown = image.frames if isinstance(image, FramePair) else None if image is None else image[0]
            made.append((token if shown is None else Picture(shown), weight))
        return [made]

    def embeddings(self, module: Any, tokens: Sequence[Any], device: torch.device) -> EmbeddedPrompt:
        if not any(isinstance(token, Picture) for token in tokens):
            return super().embeddings(module, tokens, device)
        row, mask = embedded_row(module, tokens, device), self.special.mask(tokens)
        parts: list[torch.Tensor] = []
        shown: list[int] = []
        spans: list[tuple[int, int, int]] = []
        pictures: list[tuple[int, SeenPicture]] = []
        for index, token in enumerate(tokens):
            if isinstance(token, Picture):
                picture, rows, columns = _seen(module, token, device, self.tower)
                spans.append((len(shown), rows, columns))
                pictures.append((len(shown), picture))
                parts.append(picture.tokens.to(row)[None])
                shown += [1] * len(picture.tokens)
            else:
                parts.append(row[:, index : index + 1])
                shown.append(mask[index])
        positions = picture_positions(len(shown), spans).to(device)
        embeddings = torch.cat(parts, dim=1)
        places = tuple((start, len(picture.tokens)) for start, picture in pictures)
        return EmbeddedPrompt(embeddings, torch.tensor([shown]), positions, places, _added(embeddings, pictures))


def _added(embeddings: torch.Tensor, pictures: Sequence[tuple[int, SeenPicture]]) -> dict[int, torch.Tensor]:
    """What the pictures, by the place where they start, add to the outputs of layers."""
    made: dict[int, torch.Tensor] = {}
    for start, picture in pictures:
        for layer, values in enumerate(picture.added):
            made.setdefault(layer, torch.zeros_like(embeddings))[0, start : start + len(values)] = values.to(embeddings)
    return made


def _seen(module: PictureDecoder, picture: Picture, device: torch.device, tower: Tower) -> tuple[SeenPicture, int, int]:
    """A picture's embeddings, and how many rows and columns of them there are."""
    if module.visual is None:
        raise CannotSee("the text encoder has no image encoder, so that it cannot read a prompt with pictures")
    cut = patches(picture.image.to(device), tower.patches)
    return module.visual(cut), cut.rows // MERGE, cut.columns // MERGE


def picture_positions(length: int, spans: Sequence[tuple[int, int, int]]) -> torch.Tensor:
    """Positions ``[3, length]`` of a prompt with pictures (Wang et al., "Qwen2-VL", 2024, section 2.1).

    ``spans``: where each picture starts, and its rows and columns. All tokens of a picture have one position in time;
    what follows comes after its longer side."""
    positions = torch.arange(length).float().expand(3, -1).clone()
    shift = 0
    for start, rows, columns in spans:
        end, longest = start + rows * columns, max(rows, columns)
        first = start + shift
        positions[0, start:end] = first
        positions[1, start:end] = first + torch.arange(rows).repeat_interleave(columns)
        positions[2, start:end] = first + torch.arange(columns).repeat(rows)
        positions[:, end:] = torch.arange(first + longest, first + longest + length - end)
        shift += longest - (end - start)
    return positions
