"""Nodes that combine latents into batches and take batches apart."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

from safelight.nodes.image.resampling import repeat_to
from safelight.nodes.image.size_limit import check_size
from safelight.nodes.latent.samples import Latent, batch_index, fit, with_samples
from safelight.sdk import Node, NodeOutput, Schema, io


class BatchLatentsNode(Node):
    """Combine latents into one batch. All are scaled to the size of the first."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="BatchLatentsNode",
            display_name="Batch Latents",
            category="latent",
            inputs=[io.Autogrow.Input("latents", io.Latent.Input("latent"), prefix="latent", min=2, max=50)],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, latents: Mapping[str, Latent]) -> NodeOutput:
        return NodeOutput(_joined(list(latents.values())))


class LatentBatch(Node):
    """Combine two latents into one batch. The second is scaled to the size of the first."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentBatch",
            category="latent/batch",
            inputs=[
                io.Latent.Input("samples1"),
                io.Latent.Input("samples2"),
            ],
            outputs=[io.Latent.Output()],
            is_deprecated=True,
        )

    @classmethod
    def execute(cls, samples1: Latent, samples2: Latent) -> NodeOutput:
        return NodeOutput(_joined([samples1, samples2]))


class LatentFromBatch(Node):
    """Take items out of a batch of latents. They keep the noise that they would get inside the whole batch."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentFromBatch",
            display_name="Latent From Batch",
            category="latent/batch",
            inputs=[
                io.Latent.Input("samples"),
                io.Int.Input("batch_index", default=0, min=0, max=63),
                io.Int.Input("length", default=1, min=1, max=64),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples: Latent, batch_index: int, length: int) -> NodeOutput:
        old = samples["samples"]
        start = min(len(old) - 1, batch_index)
        items = slice(start, min(len(old), start + length))
        taken = with_samples(samples, old[items])
        mask = samples.get("noise_mask")
        if mask is not None and len(mask) > 1:
            taken["noise_mask"] = repeat_to(mask, max(len(mask), len(old)))[items]
        taken["batch_index"] = _indices(samples)[items]
        return NodeOutput(taken)


class RepeatLatentBatch(Node):
    """Repeat a batch of latents. Each repetition gets its own noise."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="RepeatLatentBatch",
            display_name="Repeat Latent Batch",
            category="latent/batch",
            inputs=[
                io.Latent.Input("samples"),
                io.Int.Input("amount", default=1, min=1, max=64),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples: Latent, amount: int) -> NodeOutput:
        old = samples["samples"]
        check_size((amount, *old.shape))
        repeated = with_samples(samples, old.repeat(amount, *[1] * (old.ndim - 1)))
        mask = samples.get("noise_mask")
        if mask is not None and len(mask) > 1:
            repeated["noise_mask"] = mask.repeat(amount, *[1] * (mask.ndim - 1))
        if "batch_index" in samples:
            indices = samples["batch_index"]
            span = max(indices) - min(indices) + 1
            repeated["batch_index"] = [index + n * span for n in range(amount) for index in indices]
        return NodeOutput(repeated)


class RebatchLatents(Node):
    """Regroup a list of latents into batches of one size. Latents of different dimensions stay in separate batches."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="RebatchLatents",
            display_name="Rebatch Latents",
            category="latent/batch",
            inputs=[
                io.Latent.Input("latents"),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output(is_list=True)],
            is_input_list=True,
        )

    @classmethod
    def execute(cls, latents: list[Latent], batch_size: list[int]) -> NodeOutput:
        counted = itertools.count()
        numbers = []
        for latent in latents:
            positions = list(itertools.islice(counted, len(latent["samples"])))
            numbers += latent.get("batch_index", positions)
        pairs = [pair for latent in latents for pair in zip(latent["samples"], _masks(latent), strict=True)]
        items = [
            Item(samples[None], mask[None], number) for number, (samples, mask) in zip(numbers, pairs, strict=True)
        ]
        groups = itertools.groupby(items, key=lambda item: item.samples.shape)
        batches = [batch for _, group in groups for batch in _chunks(list(group), batch_size[0])]
        return NodeOutput([_rebatched(batch) for batch in batches])


class LatentBatchSeedBehavior(Node):
    """Choose whether each item of a batch gets its own noise ("random"), or all get that of the first ("fixed")."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentBatchSeedBehavior",
            category="latent/advanced",
            inputs=[
                io.Latent.Input("samples"),
                io.Combo.Input("seed_behavior", ["random", "fixed"], default="fixed"),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples: Latent, seed_behavior: str) -> NodeOutput:
        if seed_behavior == "random":
            return NodeOutput({key: value for key, value in samples.items() if key != "batch_index"})
        return NodeOutput({**samples, "batch_index": _indices(samples)[:1] * len(samples["samples"])})


class ReplaceVideoLatentFrames(Node):
    """Replace frames of a video latent with those of another, starting at "index". A negative index counts back from
    the end. Nothing changes if the frames would reach past the end."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ReplaceVideoLatentFrames",
            category="latent/batch",
            inputs=[
                io.Latent.Input("destination"),
                io.Int.Input("index", default=0, min=-16384, max=16384, step=1),
                io.Latent.Input("source", optional=True),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, destination: Latent, index: int, source: Latent | None = None) -> NodeOutput:
        if source is None:
            return NodeOutput(destination)
        frames, added = destination["samples"].shape[2], source["samples"].shape[2]
        start = index + frames if index < 0 else index
        if not 0 <= start <= frames - added:
            return NodeOutput(destination)
        samples = destination["samples"].clone()
        samples[:, :, start : start + added] = source["samples"]
        return NodeOutput(with_samples(destination, samples))


@dataclass(frozen=True)
class Item:
    """One item of a batch, with a batch dimension of 1; ``number`` is its position in all batches."""

    samples: torch.Tensor
    mask: torch.Tensor
    number: int


_indices = batch_index  # an input of LatentFromBatch has the same name


def _joined(latents: list[Latent]) -> Latent:
    first = latents[0]
    samples = [fit(latent["samples"], first["samples"], repeat=False) for latent in latents]
    indices = [index for latent in latents for index in batch_index(latent)]
    return {**first, "samples": torch.cat(samples), "batch_index": indices}


def _masks(latent: Latent) -> torch.Tensor:
    """A mask per item: white, in the size of the image, if there is none."""
    samples = latent["samples"]
    mask = latent.get("noise_mask")
    if mask is None:
        return torch.ones(len(samples), 1, samples.shape[-2] * 8, samples.shape[-1] * 8)
    if len(mask) < len(samples) and mask.ndim == 3:
        mask = mask[:, None]
    return repeat_to(mask, len(samples))


def _chunks(items: list[Item], size: int) -> list[list[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _rebatched(items: list[Item]) -> Latent:
    samples = torch.cat([item.samples for item in items])
    masks = [item.mask for item in items]
    if len({mask.shape for mask in masks}) > 1:
        size = (samples.shape[-2] * 8, samples.shape[-1] * 8)
        planes = [mask.reshape(1, 1, *mask.shape[-2:]) for mask in masks]
        masks = [F.interpolate(plane, size=size, mode="bilinear") for plane in planes]
    batch = {"samples": samples, "batch_index": [item.number for item in items]}
    mask = torch.cat(masks)
    return batch if bool((mask == 1.0).all()) else {**batch, "noise_mask": mask}
