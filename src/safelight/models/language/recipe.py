"""Language models as text encoders: a prompt in a template, read by a decoder whose states condition a network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from safelight.models.inputs import WrongConditioning
from safelight.models.language.architecture import LanguageArchitecture, decoder_shape
from safelight.models.language.decoder import Decoder
from safelight.models.text.chunks import Window, groups
from safelight.models.text.recipe import Encoding
from safelight.models.text.whole_prompt import SpecialTokens, embedded_row, is_weighted, padding_of, weighed
from safelight.models.tokenizers.byte_pairs import qwen
from safelight.models.tokenizers.finding import tokenizer_of
from safelight.models.tokenizers.tokenizer import Tokenizer
from safelight.models.weights import Weights

QWEN_TOKENS = SpecialTokens(pad=151643)
QWEN35_TOKENS = SpecialTokens(pad=248044)
GEMMA_TOKENS = SpecialTokens(pad=0, start=2)
MISTRAL_TOKENS = SpecialTokens(pad=11, start=1)
LLAMA_TOKENS = SpecialTokens(pad=128009, start=128000)


@dataclass(frozen=True, eq=False)
class EmbeddedPrompt:
    """``embeddings [1, n, width]`` of tokens, their ``mask [1, n]``, their ``positions`` if they have several axes, and
    what pictures add to the outputs of layers by number, ``[1, n, width]``. ``pictures``: where each starts, and how
    many tokens it has."""

    embeddings: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor | None = None
    pictures: tuple[tuple[int, int], ...] = ()
    added: Mapping[int, torch.Tensor] | None = None


PrefixOf = Callable[[Sequence[Any]], int]
"""How many of a window's tokens are instructions, which are read but not part of the conditioning."""


@dataclass(frozen=True)
class LanguageRecipe:
    """Implements :class:`safelight.models.text.recipe.EncoderRecipe`.

    ``template``: with ``{}`` for the prompt. ``states``: those of the decoder that condition, side by side along the
    features, counted as in a list of all of them (-1 is the last layer's output); empty for the last under the final
    norm. ``is_weighted``: whether parentheses are weights. ``least``: the length that prompts are padded to.
    ``keeps_full_mask``: the mask is part of the conditioning even if it hides nothing. ``refusal``: why it conditions
    no network; empty if it does. ``marks_pictures``: where pictures are in the prompt is an option of the
    conditioning, ``picture_spans``: the first token and the number of tokens of each."""

    kind: str
    title: str
    architecture: LanguageArchitecture
    special: SpecialTokens = QWEN_TOKENS
    template: str = "{}"
    states: tuple[int, ...] = ()
    is_weighted: bool = False
    least: int = 1
    prefix: PrefixOf | None = None
    keeps_full_mask: bool = True
    vocabulary: Callable[[], Tokenizer] | None = None
    """That of this package, if it has one."""
    overflows_half: bool = True
    refusal: str = ""
    marks_pictures: bool = False

    def build(self, weights: Weights) -> Decoder:
        return Decoder(decoder_shape(weights.shapes, self.architecture).without_head())

    def tokenize(self, text: str, weights: Weights, options: Mapping[str, Any]) -> list[Window]:
        tokenizer = tokenizer_of(weights, title=self.title, otherwise=self.vocabulary)
        prompt = (options.get("llama_template") or self.template).replace("{}", text)
        found = groups(prompt, tokenizer.encode, None, is_weighted=self.is_weighted)
        return [self.special.window(found, **padding_of(options, self.kind, self.least))]

    def encode(
        self, module: nn.Module, windows: Sequence[Window], *, layer: int | None, device: torch.device
    ) -> Encoding:
        if self.refusal:
            raise WrongConditioning(self.refusal)
        assert isinstance(module, Decoder)
        encoded = [self._encoded(module, window, layer, device) for window in windows]
        hidden = torch.cat([one.hidden for one in encoded], dim=1)
        mask = torch.cat([one.mask for one in encoded if one.mask is not None], dim=1)
        options = encoded[0].options if self.marks_pictures else {}
        return Encoding(hidden, mask=mask if self.keeps_full_mask or not mask.all() else None, options=options)

    def _encoded(self, module: Decoder, window: Window, layer: int | None, device: torch.device) -> Encoding:
        tokens = [token for token, _ in window]
        hidden, prompt = self.read(module, tokens, layer, device)
        if is_weighted(window):
            empty, _ = self.read(module, [token for token, _ in self.special.empty(len(window))], layer, device)
            hidden = weighed(hidden, empty, window)
        start = self.prefix(tokens) if self.prefix else 0
        spans = tuple((place - start, count) for place, count in prompt.pictures)
        return Encoding(hidden[:, start:], mask=prompt.mask[:, start:], options={"picture_spans": spans})

    def read(
        self, module: Decoder, tokens: Sequence[Any], layer: int | None, device: torch.device
    ) -> tuple[torch.Tensor, EmbeddedPrompt]:
        """The conditioning states of tokens, ``[1, tokens, features]``, and what they were read from."""
        prompt = self.embeddings(module, tokens, device)
        more = {"positions": prompt.positions, "added": prompt.added}
        return self.selected(module, prompt.embeddings, prompt.mask, layer, **more), prompt

    def embeddings(self, module: Any, tokens: Sequence[Any], device: torch.device) -> EmbeddedPrompt:
        return EmbeddedPrompt(embedded_row(module, tokens, device), torch.tensor([self.special.mask(tokens)]))

    def selected(
        self,
        module: Decoder,
        embeddings: torch.Tensor,
        mask: torch.Tensor,
        layer: int | None,
        **keywords: Any,
    ) -> torch.Tensor:
        """The states that condition, side by side; float32 on the CPU."""
        count = module.shape.layers + 1
        chosen = self.states if layer is None or len(self.states) > 1 else (layer,)
        wanted = [state % count if -count <= state < count else None for state in chosen]
        if any(state is None for state in wanted):
            wanted = []
        shown = None if mask.all() else mask
        output = module(embeddings, mask=shown, states=[state for state in wanted if state is not None], **keywords)
        found = [output.states[state] for state in wanted if state is not None] or [output.final]
        return torch.cat(found, dim=-1).float().cpu()


def qwen_recipe(kind: str, title: str, architecture: LanguageArchitecture, **changes: Any) -> LanguageRecipe:
    """A language model with Qwen's vocabulary."""
    return LanguageRecipe(kind, title, architecture, QWEN_TOKENS, vocabulary=qwen, **changes)
