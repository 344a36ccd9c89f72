"""Leave out evaluations of the network where its output would hardly change, and reuse the last change of its input
(EasyCache; Zhou et al., "Less is Enough: Training-Free Video Diffusion Acceleration via Runtime-Adaptive Caching",
2025).

The change of the output from step to step is estimated from that of the input; estimates add up until they reach the
threshold, and the network is evaluated again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

SUBSAMPLED = 8
"""Changes are measured at every eighth position of each side."""


@dataclass(frozen=True)
class StepCache:
    """Between the levels ``start`` and ``end`` (``start`` is higher), evaluations are left out while the estimated
    relative change is below ``threshold``. ``whole_step``: the cached value is the guided prediction instead of the
    network's outputs."""

    threshold: float
    start: float
    end: float
    whole_step: bool = False


@dataclass
class StepCacheRun:
    """One run of sampling. Mutable: what is known from the last evaluation.

    One conditioning, the last of the first batch, decides for all of a step. ``keys`` of a call: which conditionings
    its batch holds, in equal parts."""

    cache: StepCache
    skipped: int = 0
    _skips_step: bool = False
    _leader: int | None = None
    _changes: dict[int, torch.Tensor] = field(default_factory=dict)
    _input: torch.Tensor | None = None
    _output: torch.Tensor | None = None
    _norm: float = 0.0
    _rate: float | None = None
    _estimated: float = 0.0

    def begin_step(self) -> None:
        self._skips_step = False

    def __call__(
        self, evaluate: Callable[[], torch.Tensor], x: torch.Tensor, sigma: float, keys: Sequence[int] = (0,)
    ) -> torch.Tensor:
        """The output for ``x``: evaluated, or estimated."""
        if sigma <= self.cache.end:
            return evaluate()
        if self.cache.whole_step:
            self.begin_step()
        parts = dict(zip(keys, torch.split(x, len(x) // len(keys)), strict=True))
        change: float | None = None
        if self._leader is None and (sigma <= self.cache.start or self.cache.whole_step):
            self._leader = keys[-1]
        if sigma <= self.cache.start:
            if self._skips_step and all(key in self._changes for key in keys):
                return self._estimate(parts)
            if self._leader in parts and self._input is not None:
                change = _distance(_sampled(parts[self._leader]), self._input)
                if self._rate is not None:
                    self._estimated += self._rate * change / self._norm
                    if self._estimated < self.cache.threshold:
                        self._skips_step = True
                        self.skipped += 1
                        return self._estimate(parts)
                    self._estimated = 0.0
        output = evaluate()
        outputs = dict(zip(keys, torch.split(output, len(output) // len(keys)), strict=True))
        self._changes |= {key: made - parts[key] for key, made in outputs.items()}
        if self._leader in parts:
            self._remember(parts[self._leader], outputs[self._leader], change, float(output.abs().mean()))
        return output

    def _estimate(self, parts: dict[int, torch.Tensor]) -> torch.Tensor:
        return torch.cat([part + self._changes[key] for key, part in parts.items()])

    def _remember(self, x: torch.Tensor, output: torch.Tensor, change: float | None, norm: float) -> None:
        sampled = _sampled(output)
        if self._output is not None and change:
            self._rate = _distance(sampled, self._output) / change
        self._input, self._output, self._norm = _sampled(x), sampled, norm


def _sampled(planes: torch.Tensor) -> torch.Tensor:
    return planes[..., ::SUBSAMPLED, ::SUBSAMPLED].clone()


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().mean())
