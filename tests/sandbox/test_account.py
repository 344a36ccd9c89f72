"""Whether workers can run as an account, found out by a process that tries."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from safelight.sandbox.account import find_account, why_unusable
from safelight.settings import Settings, default_account

SYSTEM_PYTHON = Path("/usr/bin/python3")


@pytest.fixture
def nobody() -> object:
    if os.geteuid() != 0:
        pytest.skip("only root can start a process of another user")
    code = "import os; os.setgroups([]); os.setresuid(65534, 65534, 65534)"
    if subprocess.run([sys.executable, "-S", "-c", code], capture_output=True).returncode:
        pytest.skip("no process can become another user here")
    return find_account("nobody")


def test_an_account_that_cannot_start_python_is_reported(nobody: object, public_path: Path) -> None:
    python = public_path / "python"
    python.symlink_to("/root/nothing")
    refusal = why_unusable(nobody, reads=[], writes=[], data=public_path / "data", python=str(python))  # type: ignore[arg-type]
    assert refusal is not None
    assert refusal.startswith(f"it cannot start {python}")


def test_files_that_an_account_cannot_reach_are_reported(nobody: object, public_path: Path) -> None:
    if not SYSTEM_PYTHON.exists():
        pytest.skip("the system has no Python of its own")
    source = public_path / "lib/safelight"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("")
    python = public_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={source.parent} exec {SYSTEM_PYTHON} "$@"\n')
    for path in (source.parent, source, source / "__init__.py", python):
        path.chmod(0o755)
    models = public_path / "models"
    models.mkdir(mode=0o755)
    (models / "checkpoints").mkdir(mode=0o755)

    def ask(data: Path = public_path / "data", writes: tuple[Path, ...] = ()) -> str | None:
        return why_unusable(nobody, reads=[models], writes=writes, data=data, python=str(python))  # type: ignore[arg-type]

    if (refusal := ask()) is not None and "/dev/" in refusal:
        pytest.skip(refusal)
    assert refusal is None
    (models / "checkpoints").chmod(0o700)
    assert ask() == f"it cannot read {models / 'checkpoints'}"
    (models / "checkpoints").chmod(0o755)
    closed = public_path / "closed"
    closed.mkdir(mode=0o700)
    assert ask(data=closed / "data") == f"it cannot pass through {closed}"
    assert ask(writes=(closed,)) == f"it cannot write to {closed}"


def test_only_root_has_a_default_for_its_workers(tmp_path: Path) -> None:
    account, reason = default_account(Settings.of(data_dir=tmp_path, backend="ray"))
    assert (account, reason) == (None, "")
    account, reason = default_account(Settings.of(data_dir=tmp_path))
    if os.geteuid() != 0:
        assert (account, reason) == (None, "")
    else:
        assert (account is None) == (reason != "")
