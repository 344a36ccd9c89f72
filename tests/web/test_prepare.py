from pathlib import Path

import pytest

from safelight.web.copies import Copies
from safelight.web.packages import Packages
from safelight.web.prepare import prepare


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_only_compressible_files_are_prepared(packages: Packages, cache: Path) -> None:
    prepare(packages, cache)
    root = Copies(cache, packages).root
    for encoding in ("br", "gzip", "zstd"):
        names = {p.relative_to(root / encoding).as_posix() for p in (root / encoding).rglob("*") if p.is_file()}
        assert names == {"assets/main-DJwEkTJ_.js", "scripts/app.js", "templates/index.json", "global_subgraphs.json"}


def test_a_second_run_continues_where_the_first_stopped(packages: Packages, cache: Path) -> None:
    copies = Copies(cache, packages)
    copies.write("scripts/app.js", "br", b"made before")
    prepare(packages, cache)
    assert copies.path("scripts/app.js", "br").read_bytes() == b"made before"
    assert copies.is_complete


def test_it_stops_when_its_server_has_ended(packages: Packages, cache: Path) -> None:
    asked = iter([True, True, False])
    prepare(packages, cache, is_wanted=lambda: next(asked))
    copies = Copies(cache, packages)
    assert not copies.is_complete
    assert len([p for p in (copies.root / "br").rglob("*") if p.is_file()]) == 2


def test_copies_of_other_versions_are_removed(packages: Packages, cache: Path) -> None:
    older = Copies(cache, Packages(versions={"comfyui-frontend-package": "0.9"}))
    older.write("scripts/app.js", "br", b"old")
    prepare(packages, cache)
    assert [path.name for path in cache.iterdir()] == [Copies(cache, packages).root.name]


def test_no_unfinished_copy_is_ever_served(packages: Packages, cache: Path) -> None:
    copies = Copies(cache, packages)
    path = copies.write("scripts/app.js", "br", b"whole")
    assert [p.name for p in path.parent.iterdir()] == ["app.js"]
    assert copies.smallest("scripts/app.js", ("zstd", "br")) == ("br", path, 5)
    assert copies.smallest("scripts/app.js", ("gzip",)) is None
