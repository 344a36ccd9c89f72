"""Pretraining of the text encoder: it learns the facts of a caption before it sees any picture."""

import random
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from safelight.models.text.encoder_module import ClipText, TextShape
from safelight.models.text.tokenizer import END, START, tokens_of
from training.captions import QUESTIONS, caption
from training.scenes import random_scene

SHAPE = TextShape(vocabulary=49408, length=77, width=64, inner=256, layers=4, projection=0)
HEADS = 4


def new_encoder() -> ClipText:
    encoder = ClipText(SHAPE, heads=HEADS, activation="gelu")
    nn.init.normal_(encoder.text_model.embeddings.token_embedding.weight, std=0.05)
    nn.init.normal_(encoder.text_model.embeddings.position_embedding.weight, std=0.02)
    return encoder


def token_rows(captions: list[str]) -> torch.Tensor:
    """``[B, 77]``, padded with the end token."""
    rows = torch.full((len(captions), SHAPE.length), END)
    for row, words in zip(rows, captions, strict=True):
        tokens = [START, *tokens_of(words)[: SHAPE.length - 2]]
        row[: len(tokens)] = torch.tensor(tokens)
    return rows


def encoded(encoder: ClipText, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Condition ``[B, 77, 64]`` and pooled ``[B, 64]``, the latter at the first end token."""
    rows = token_rows(captions)
    final = encoder(encoder.embedded(rows)).final
    ends = (rows == END).int().argmax(dim=1)
    return final, final[torch.arange(len(rows)), ends]


class _Reader(nn.Module):
    """Answer every question from the pooled output."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(SHAPE.width, len(question.answers)) for question in QUESTIONS)


def train(out: Path, *, minutes: float, seed: int) -> None:
    torch.manual_seed(seed)
    rng = random.Random(seed)
    encoder, reader = new_encoder(), _Reader()
    weights = [*encoder.parameters(), *reader.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=2e-3, betas=(0.9, 0.98), weight_decay=0.0)
    began, step, right = time.monotonic(), 0, 0.0
    while (passed := (time.monotonic() - began) / 60 / minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 100) * (1 - passed)
        scenes = [random_scene(rng, pairs=0.5) for _ in range(128)]
        _, pooled = encoded(encoder, [caption(scene, rng)[0] for scene in scenes])
        loss = torch.zeros(())
        hits = []
        for question, head in zip(QUESTIONS, reader.heads, strict=True):
            answers = torch.tensor([question.answer(scene) for scene in scenes])
            predicted = head(pooled)
            loss = loss + functional.cross_entropy(predicted, answers)
            hits.append((predicted.argmax(dim=1) == answers).float().mean())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        right = 0.95 * right + 0.05 * float(torch.stack(hits).mean())
        step += 1
        if step % 50 == 0:
            print(f"text step {step} loss {float(loss):.3f} right {right:.4f}", flush=True)
    torch.save(encoder.state_dict(), out)
