"""Write text with a language model that is loaded as a text encoder: the value on CLIP links."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from safelight.core.errors import Invalid
from safelight.models.language.architecture import decoder_shape
from safelight.models.language.cache import KeyValueCache
from safelight.models.language.chat import CHATS, PICTURE, THINK, Chat
from safelight.models.language.decoder import Decoder
from safelight.models.language.picture_recipe import CannotSee, PictureRecipe
from safelight.models.language.recipe import LanguageRecipe
from safelight.models.language.token_choice import TokenSampling, choose_token
from safelight.models.residency import compute_device, residency
from safelight.models.text.encoder import TextEncoder
from safelight.models.tokenizers.finding import tokenizer_of
from safelight.models.tokenizers.tokenizer import Tokenizer


class NotALanguageModel(Invalid):
    """The text encoder cannot write text."""

    code = "not_a_language_model"


@dataclass(frozen=True)
class Question:
    """``images``: each ``[B, H, W, 3]``, of which the first is seen. ``has_template``: ask as the model was trained to
    be asked; otherwise the text is continued."""

    text: str
    system: str = ""
    images: tuple[torch.Tensor, ...] = ()
    thinking: bool = False
    has_template: bool = True


@dataclass(frozen=True)
class Writer:
    """A language model of a text encoder."""

    encoder: TextEncoder
    key: str
    recipe: LanguageRecipe

    @property
    def chat(self) -> Chat:
        return CHATS[self.recipe.kind]

    @property
    def tokenizer(self) -> Tokenizer:
        weights = self.encoder.weights_of(self.key)
        return tokenizer_of(weights, title=self.recipe.title, otherwise=self.recipe.vocabulary)

    def write(self, question: Question, *, sampling: TokenSampling, seed: int, length: int) -> Iterator[str]:
        """Yield the answer as far as it is written, after each token, up to ``length`` tokens. Thoughts come first,
        marked, also if the prompt has their first mark."""
        opened = f"{THINK}\n" if question.has_template and question.thinking and self.chat.opens_thoughts else ""
        tokens = self._tokens(question)
        tokenizer = self.tokenizer
        ends = {token for end in self.chat.ends for token in tokenizer.encode(end)[:1]}
        generator = torch.Generator().manual_seed(seed)
        written: list[int] = []
        with self._module() as module, torch.inference_mode():
            device = compute_device()
            cache = KeyValueCache()
            prompt = self.recipe.embeddings(module, tokens, device)  # its mask hides nothing
            embeddings, positions, added = prompt.embeddings, prompt.positions, prompt.added
            after = embeddings.shape[1] if positions is None else int(positions.max()) + 1
            while len(written) < length:
                final = module(embeddings, positions=positions, cache=cache, added=added).final[0, -1]
                token = choose_token(module.logits(final).float().cpu(), written, sampling, generator)
                if token in ends:
                    return
                written.append(token)
                yield opened + tokenizer.decode(written)
                added = None
                embeddings = module.embedded(torch.tensor([[token]], device=device))
                positions = torch.tensor([after + len(written) - 1], device=device)

    def _tokens(self, question: Question) -> Sequence[Any]:
        if question.images and not isinstance(self.recipe, PictureRecipe):
            raise CannotSee(f"{self.recipe.title} cannot see pictures; load a model that can, such as Qwen3-VL")
        text = PICTURE * len(question.images) + question.text
        if question.has_template:
            text = self.chat.prompt(text, system=question.system, thinking=question.thinking)
        options = {"images": list(question.images), "llama_template": "{}", "tokenizer_options": {}}
        (window,) = self.recipe.tokenize(text, self.encoder.weights_of(self.key), options)
        return [token for token, _ in window]

    @contextmanager
    def _module(self) -> Iterator[Any]:
        weights = self.encoder.weights_of(self.key)
        if "lm_head.weight" not in weights:
            with self.encoder.network() as module:
                yield module[self.recipe.kind]
            return
        device = compute_device()
        prefix = f"{self.recipe.kind}."
        layers = tuple(layer.below(prefix) for layer in self.encoder.layers)

        def build() -> nn.Module:
            module = self.recipe.build(weights)
            shape = decoder_shape(weights.shapes, self.recipe.architecture)
            module.lm_head = Decoder(shape).lm_head
            module.shape = shape
            return module

        dtype = self.encoder.network_dtype(device)
        with residency().use(weights, layers, build, device=device, dtype=dtype, rounds=True) as module:
            yield module


def writer_of(encoder: TextEncoder) -> Writer:
    """The language model of a text encoder. Raises :class:`NotALanguageModel` if it has none that can be asked."""
    for key, recipe in encoder.recipe.encoders.items():
        if isinstance(recipe, LanguageRecipe) and recipe.kind in CHATS:
            return Writer(encoder, key, recipe)
    kinds = " and ".join(recipe.kind for recipe in encoder.recipe.encoders.values())
    raise NotALanguageModel(f"the text encoder ({kinds}) cannot write text; load a language model such as Qwen3")
