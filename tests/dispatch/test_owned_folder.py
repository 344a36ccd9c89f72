"""Folders that belong to one process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from safelight.dispatch.files.owned_folder import OwnedFolder, sweep

HOLDS = """
import sys, time
from pathlib import Path
from safelight.dispatch.files.owned_folder import OwnedFolder
folder = OwnedFolder.claim(Path(sys.argv[1]))
folder.path.mkdir()
(folder.path / "file").write_text("its own")
print(folder.path, flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_folder_is_removed_only_after_its_owner_has_ended(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    assert holder.stdout is not None
    theirs = Path(holder.stdout.readline().strip())
    ours = OwnedFolder.claim(tmp_path)
    ours.path.mkdir()
    seen: list[Path] = []
    sweep(tmp_path, before=seen.append)
    assert (theirs.is_dir(), ours.path.is_dir(), seen) == (True, True, [])

    holder.kill()
    holder.wait()
    sweep(tmp_path, before=seen.append)
    assert (theirs.exists(), ours.path.is_dir(), seen) == (False, True, [theirs])
    ours.release()
    assert list(tmp_path.iterdir()) == []


def test_claims_differ_and_folders_without_a_lock_stay(tmp_path: Path) -> None:
    one, other = OwnedFolder.claim(tmp_path, prefix="a-"), OwnedFolder.claim(tmp_path, prefix="a-")
    assert one.path != other.path
    (tmp_path / "of somebody else").mkdir()
    sweep(tmp_path)
    assert (tmp_path / "of somebody else").is_dir()
    one.release()
    other.release()
    sweep(tmp_path / "not there")
    assert os.listdir(tmp_path) == ["of somebody else"]
