"""Style models: convert the features of a vision encoder to tokens that are appended to a prompt's.

The style adapter of T2I-Adapter (Mou et al. 2023) and FLUX.1 Redux.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Linear
from safelight.models.residency import compute_device, residency
from safelight.models.vision.vision_encoder import VisionOutput
from safelight.models.weights import UnknownWeights, Weights, weight_file

HEADS = 8


@dataclass(frozen=True, slots=True)
class AdapterShape:
    tokens: int
    width: int
    layers: int
    features: int


@dataclass(frozen=True, slots=True)
class ReduxShape:
    width: int
    inner: int
    features: int


class Adapter(nn.Module):
    """Learned tokens attend to those of the image in a few layers, and are projected."""

    def __init__(self, shape: AdapterShape) -> None:
        super().__init__()
        self.style_embedding = nn.Parameter(torch.empty(1, shape.tokens, shape.width))
        self.ln_pre = nn.LayerNorm(shape.width)
        self.transformer_layes = nn.Sequential(
            *(_Layer(shape.width) for _ in range(shape.layers))
        )  # sic: the name in the files
        self.ln_post = nn.LayerNorm(shape.width)
        self.proj = nn.Parameter(torch.empty(shape.width, shape.features))

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        learned = self.style_embedding.expand(len(seen), -1, -1)
        hidden = self.transformer_layes(self.ln_pre(torch.cat((seen, learned), dim=1)))
        tokens: torch.Tensor = self.ln_post(hidden[:, -learned.shape[1] :]) @ self.proj
        return tokens


class _Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": Linear(width, 4 * width), "c_proj": Linear(4 * width, width)})
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        normed = self.ln_1(hidden)
        hidden = hidden + self.attn(normed, normed, normed, need_weights=False)[0]
        inner = self.mlp["c_fc"](self.ln_2(hidden))
        result: torch.Tensor = hidden + self.mlp["c_proj"](inner * torch.sigmoid(1.702 * inner))
        return result


class Redux(nn.Module):
    def __init__(self, shape: ReduxShape) -> None:
        super().__init__()
        self.redux_up = Linear(shape.width, shape.inner)
        self.redux_down = Linear(shape.inner, shape.features)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.redux_down(functional.silu(self.redux_up(seen)))
        return tokens


@dataclass(frozen=True)
class StyleModel:
    """The value on ``STYLE_MODEL`` links."""

    weights: Weights
    shape: AdapterShape | ReduxShape

    def get_cond(self, output: VisionOutput) -> torch.Tensor:
        """Tokens ``[B, tokens, features]``."""
        device = compute_device()
        with (
            residency().use(self.weights, (), self._build, device=device, dtype=torch.float32) as module,
            torch.inference_mode(),
        ):
            tokens: torch.Tensor = module(output.last_hidden_state.to(device)).cpu()
        return tokens

    def _build(self) -> nn.Module:
        return Adapter(self.shape) if isinstance(self.shape, AdapterShape) else Redux(self.shape)


def load_style_model(path: Path) -> StyleModel:
    """Load a style model. Raises :class:`UnknownWeights`; :class:`safelight.media.media_errors.UnreadableWeights`."""
    weights = weight_file(path).weights()
    shape = _shape(weights.shapes)
    if shape is None:
        raise UnknownWeights(f"{path.name!r} contains no supported style model (T2I style adapter, Redux)")
    return StyleModel(weights, shape)


def _shape(shapes: Mapping[str, torch.Size]) -> AdapterShape | ReduxShape | None:
    if "redux_up.weight" in shapes and "redux_down.weight" in shapes:
        inner, width = shapes["redux_up.weight"]
        return ReduxShape(width, inner, shapes["redux_down.weight"][0])
    if "style_embedding" in shapes and "proj" in shapes:
        _, tokens, width = shapes["style_embedding"]
        numbers = {name.split(".")[1] for name in shapes if name.startswith("transformer_layes.")}
        return AdapterShape(tokens, width, len(numbers), shapes["proj"][1])
    return None
