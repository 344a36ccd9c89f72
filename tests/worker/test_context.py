"""The worker context: one per process, with parts that are made when they are first needed."""

from pathlib import Path

import pytest
from tests.worker.contexts import using

from safelight.models.residency import residency
from safelight.worker.context import WorkerContext, worker_context


def test_a_process_that_is_not_a_worker_has_an_empty_one() -> None:
    assert worker_context() is worker_context()


def test_networks_belong_to_the_context() -> None:
    with using(WorkerContext()) as one:
        first = residency()
        assert one.networks is residency() is first
    with using(WorkerContext()):
        assert residency() is not first


def test_a_workspace_is_made_when_it_is_first_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    context = WorkerContext()
    assert (context.has_workspace, list(tmp_path.iterdir())) == (False, [])
    assert context.workspace is context.workspace
    assert (context.has_workspace, context.workspace.root.parent) == (True, tmp_path)


def test_a_model_file_is_read_in_place_without_local_copies(tmp_path: Path) -> None:
    with WorkerContext().reading(tmp_path / "m.safetensors") as path:
        assert path == tmp_path / "m.safetensors"
