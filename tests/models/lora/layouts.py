"""Names and shapes of the weights of published networks, written down from their configurations."""

from collections.abc import Iterator, Sequence

import torch

Shapes = dict[str, torch.Size]


def unet(*, width: int, multipliers: Sequence[int], depths: Sequence[int], middle: int, context: int) -> Shapes:
    """A UNet in latent diffusion's layout, two residual blocks per level. ``depths``: transformer blocks per level."""
    found: list[tuple[str, tuple[int, ...]]] = [("input_blocks.0.0.weight", (width, 4, 3, 3))]
    last, skips, number = width, [width], 1
    for level, multiplier in enumerate(multipliers):
        for _ in range(2):
            found += _residual(f"input_blocks.{number}.0", last, last := width * multiplier)
            found += _transformer(f"input_blocks.{number}.1", last, depths[level], context)
            skips.append(last)
            number += 1
        if level < len(multipliers) - 1:
            found.append((f"input_blocks.{number}.0.op.weight", (last, last, 3, 3)))
            skips.append(last)
            number += 1
    found += [*_residual("middle_block.0", last, last), *_transformer("middle_block.1", last, middle, context)]
    found += _residual("middle_block.2", last, last)
    number = 0
    for level, multiplier in reversed(list(enumerate(multipliers))):
        for index in range(3):
            found += _residual(f"output_blocks.{number}.0", last + skips.pop(), last := width * multiplier)
            found += _transformer(f"output_blocks.{number}.1", last, depths[level], context)
            if index == 2 and level > 0:
                place = 2 if depths[level] else 1
                found.append((f"output_blocks.{number}.{place}.conv.weight", (last, last, 3, 3)))
            number += 1
    found += [("out.0.weight", (width,)), ("out.2.weight", (4, width, 3, 3))]
    found += [("time_embed.0.weight", (width * 4, width)), ("time_embed.2.weight", (width * 4, width * 4))]
    return {name: torch.Size(shape) for name, shape in found}


def sd1() -> Shapes:
    return unet(width=320, multipliers=(1, 2, 4, 4), depths=(1, 1, 1, 0), middle=1, context=768)


def sdxl() -> Shapes:
    return unet(width=320, multipliers=(1, 2, 4), depths=(0, 2, 10), middle=10, context=2048)


def clip(*, width: int, layers: int, prefix: str = "", inner: int = 4) -> Shapes:
    """A text encoder under transformers' names."""
    shapes = {}
    for layer in range(layers):
        at = f"{prefix}text_model.encoder.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes[f"{at}.self_attn.{name}.weight"] = (width, width)
        shapes[f"{at}.mlp.fc1.weight"] = (width * inner, width)
        shapes[f"{at}.mlp.fc2.weight"] = (width, width * inner)
    return {name: torch.Size(shape) for name, shape in shapes.items()}


def _residual(at: str, given: int, made: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{at}.in_layers.0.weight", (given,)
    yield f"{at}.in_layers.0.bias", (given,)
    yield f"{at}.in_layers.2.weight", (made, given, 3, 3)
    yield f"{at}.emb_layers.1.weight", (made, made)
    yield f"{at}.out_layers.0.weight", (made,)
    yield f"{at}.out_layers.3.weight", (made, made, 3, 3)
    yield f"{at}.out_layers.3.bias", (made,)
    if given != made:
        yield f"{at}.skip_connection.weight", (made, given, 1, 1)


def _transformer(at: str, width: int, depth: int, context: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    if not depth:
        return
    yield f"{at}.norm.weight", (width,)
    yield f"{at}.proj_in.weight", (width, width, 1, 1)
    for block in range(depth):
        inner = f"{at}.transformer_blocks.{block}"
        for attention, features in (("attn1", width), ("attn2", context)):
            yield f"{inner}.{attention}.to_q.weight", (width, width)
            yield f"{inner}.{attention}.to_k.weight", (width, features)
            yield f"{inner}.{attention}.to_v.weight", (width, features)
            yield f"{inner}.{attention}.to_out.0.weight", (width, width)
        yield f"{inner}.ff.net.0.proj.weight", (width * 8, width)
        yield f"{inner}.ff.net.2.weight", (width, width * 4)
        yield f"{inner}.norm1.weight", (width,)
    yield f"{at}.proj_out.weight", (width, width, 1, 1)
