"""Which models an engine says it holds, and how it lets them go."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from safelight.models import residency as module
from safelight.models.residency import Residency
from safelight.models.weights import weight_file
from safelight.runtime.resident_models import free_unused, warm_models


@pytest.fixture
def residency(monkeypatch: pytest.MonkeyPatch) -> Residency:
    own = Residency()
    monkeypatch.setattr(module, "residency", own)
    return own


def test_models_are_named_as_prompts_name_them(residency: Residency, tmp_path: Path) -> None:
    roots = (tmp_path / "one", tmp_path / "two")
    for path in (roots[0] / "checkpoints" / "sub" / "a.safetensors", roots[1] / "vae" / "b.safetensors"):
        path.parent.mkdir(parents=True)
        save_file(nn.Linear(2, 2).state_dict(), path)
        weights = weight_file(path).weights()
        with residency.use(weights, (), lambda: nn.Linear(2, 2), device=torch.device("cpu"), dtype=torch.float32):
            pass
    assert warm_models(roots) == ("b.safetensors", "sub/a.safetensors")
    assert warm_models(roots[:1]) == ("sub/a.safetensors",)
    free_unused()
    assert warm_models(roots) == ()
