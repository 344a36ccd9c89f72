"""Choose the next token from a language model's scores: the most likely one, or at random by a seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class TokenSampling:
    """``temperature``: 0 chooses the most likely token. ``top_k``: only so many of the most likely, 0 for all;
    ``top_p``: only the most likely until their probabilities add up to it (Holtzman et al. 2020); ``min_p``: only those
    with at least this share of the highest probability (Nguyen et al. 2024). ``repetition``: scores of tokens in the
    answer are divided by it (Keskar et al. 2019); ``presence`` is subtracted from them."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition: float = 1.0
    presence: float = 0.0


def choose_token(
    scores: torch.Tensor, written: Sequence[int], sampling: TokenSampling, generator: torch.Generator
) -> int:
    """A token, by ``scores [vocabulary]`` on the CPU. ``written``: the answer so far."""
    scores = scores.float().clone()
    if written and (sampling.repetition != 1.0 or sampling.presence):
        seen = torch.tensor(sorted(set(written)))
        own = scores[seen]
        scores[seen] = torch.where(own > 0, own / sampling.repetition, own * sampling.repetition) - sampling.presence
    if sampling.temperature <= 0:
        return int(scores.argmax())
    scores = scores / sampling.temperature
    ordered, tokens = scores.sort(descending=True, stable=True)
    if sampling.top_k:
        ordered = ordered[: sampling.top_k]
    shares = ordered.softmax(dim=0)
    before = shares.cumsum(dim=0) - shares
    allowed = (before < sampling.top_p) & (shares >= sampling.min_p * shares[0])
    allowed[0] = True
    shares = torch.where(allowed, shares, 0.0)
    return int(tokens[torch.multinomial(shares, 1, generator=generator)])
