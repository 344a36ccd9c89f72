"""Which models an engine reports as resident, and how it frees them."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from safelight.models.residency import Residency
from safelight.models.weights import weight_file
from safelight.runtime.resident_models import free_unused, warm_models
from safelight.worker.context import WorkerContext


def test_models_are_named_as_prompts_name_them(tmp_path: Path) -> None:
    networks = Residency()
    roots = (tmp_path / "one", tmp_path / "two")
    for path in (roots[0] / "checkpoints" / "sub" / "a.safetensors", roots[1] / "vae" / "b.safetensors"):
        path.parent.mkdir(parents=True)
        save_file(nn.Linear(2, 2).state_dict(), path)
        weights = weight_file(path).weights()
        with networks.use(weights, (), lambda: nn.Linear(2, 2), device=torch.device("cpu"), dtype=torch.float32):
            pass
    worker = WorkerContext(model_roots=roots, networks=networks)
    assert warm_models(worker) == ("b.safetensors", "sub/a.safetensors")
    assert warm_models(WorkerContext(model_roots=roots[:1], networks=networks)) == ("sub/a.safetensors",)
    free_unused(worker)
    assert warm_models(worker) == ()


def test_a_worker_without_networks_has_no_models() -> None:
    assert warm_models(WorkerContext()) == ()
    free_unused(WorkerContext())
