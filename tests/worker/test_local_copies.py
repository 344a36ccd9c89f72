"""Models of a network folder, read from copies on this machine's disk."""

import multiprocessing
import os
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.worker.contexts import using

from safelight.models.weights import weight_file
from safelight.worker.context import WorkerContext
from safelight.worker.local_copies import LocalCopies


def copies_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "copies").iterdir()}


def use(copies: LocalCopies, path: Path) -> Path:
    with copies.reading(path) as place:
        assert place.read_bytes() == path.read_bytes()
        return place


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "network"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_bytes(name.encode() * 1000)
        os.utime(folder / name, ns=(1, 1))
    return folder


def test_a_file_is_copied_once_whatever_its_name(tmp_path: Path, models: Path) -> None:
    copies = LocalCopies(tmp_path / "own", max_bytes=10_000)
    (models / "other").write_bytes(b"a" * 1000)
    places = [use(copies, models / name) for name in ("a", "other", "a")]
    assert len(set(places)) == 1
    assert places[0].parent == tmp_path / "own" / "copies"
    inode = places[0].stat().st_ino
    assert use(LocalCopies(tmp_path / "own", max_bytes=10_000), models / "a").stat().st_ino == inode


def test_a_changed_file_is_copied_again(tmp_path: Path, models: Path) -> None:
    copies = LocalCopies(tmp_path / "own", max_bytes=10_000)
    use(copies, models / "a")
    (models / "a").write_bytes(b"z" * 1000)
    use(copies, models / "a")
    assert sorted(copies_in(tmp_path / "own").values()) == [b"a" * 1000, b"z" * 1000]


def test_the_least_recently_used_copy_is_deleted_unless_open(tmp_path: Path, models: Path) -> None:
    copies = LocalCopies(tmp_path / "own", max_bytes=2_500)
    for n, name in enumerate("ab"):
        os.utime(use(copies, models / name), (n + 1, n + 1))
    with copies.reading(models / "a") as held:
        os.utime(held, (0, 0))
        use(copies, models / "c")
        assert sorted(copies_in(tmp_path / "own").values()) == [b"a" * 1000, b"c" * 1000]
    os.utime(held, (0, 0))
    use(copies, models / "b")
    assert sorted(copies_in(tmp_path / "own").values()) == [b"b" * 1000, b"c" * 1000]


def test_a_file_that_does_not_fit_is_read_in_place(tmp_path: Path, models: Path) -> None:
    copies = LocalCopies(tmp_path / "own", max_bytes=1_500)
    (models / "large").write_bytes(b"x" * 2_000)
    assert use(copies, models / "large") == models / "large"
    with copies.reading(models / "a") as held:
        assert held != models / "a"
        assert use(copies, models / "b") == models / "b"
    assert use(copies, models / "b") != models / "b"


def test_a_copy_that_was_cut_short_is_made_again(tmp_path: Path, models: Path) -> None:
    copies = LocalCopies(tmp_path / "own", max_bytes=10_000)
    use(copies, models / "a").write_bytes(b"a")
    use(copies, models / "a")


def test_a_disk_that_fails_and_a_file_that_is_missing(
    tmp_path: Path, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copies = LocalCopies(tmp_path / "own", max_bytes=10_000)
    (tmp_path / "own" / "copies").rmdir()
    assert use(copies, models / "a") == models / "a"
    assert "cannot be copied to this machine" in caplog.text
    with pytest.raises(FileNotFoundError), copies.reading(models / "missing"):
        pass
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == ["notes"]


def _read(folder: Path, path: Path, start: "threading.Barrier", inodes: "multiprocessing.Queue[int]") -> None:
    start.wait()
    with LocalCopies(folder, max_bytes=100_000_000).reading(path) as place:
        inodes.put(place.stat().st_ino)


def test_of_many_processes_one_copies(tmp_path: Path, models: Path) -> None:
    (models / "large").write_bytes(b"x" * 20_000_000)
    context = multiprocessing.get_context("fork")
    start, inodes = context.Barrier(4), context.Queue()
    readers = [
        context.Process(target=_read, args=(tmp_path / "own", models / "large", start, inodes)) for _ in range(4)
    ]
    for reader in readers:
        reader.start()
    assert len({inodes.get(timeout=60) for _ in readers}) == 1
    for reader in readers:
        reader.join()


def test_weights_are_read_from_the_copy(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"w": torch.arange(4.0)}, path)
    with using(WorkerContext(local_copies=LocalCopies(tmp_path / "own", max_bytes=1_000_000))):
        [(name, tensor)] = weight_file(path).weights().read()
    assert (name, tensor.tolist()) == ("w", [0.0, 1.0, 2.0, 3.0])
    assert list(copies_in(tmp_path / "own").values()) == [path.read_bytes()]
