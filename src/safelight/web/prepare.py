"""``python -m safelight.web.prepare <cache dir>``: fill the folder of prepared copies, then exit.

A separate program instead of a thread: it needs tens of seconds of CPU and 200 MB, once per installation, which the
server should not spend in its own process. It runs at the lowest priority and may be killed at any time; the next start
continues where it stopped.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from safelight.web.blueprints import list_blueprints
from safelight.web.copies import IDENTITY, Copies
from safelight.web.encodings import is_compressible
from safelight.web.packages import Packages, find_packages
from safelight.web.paths import WebFile, find_file

BLUEPRINTS_KEY = "global_subgraphs.json"
_ORDER = ("br", "gzip", "zstd")  # zstd's thorough level takes longest; until then browsers get br


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C stops the server; no traceback from this program
    os.nice(19)
    server = os.getppid()
    prepare(find_packages(), Path(sys.argv[1]), is_wanted=lambda: os.getppid() == server)


def prepare(packages: Packages, cache_dir: Path, *, is_wanted: Callable[[], bool] = lambda: True) -> None:
    """Make the missing copies, and remove those of other versions. Stops when ``is_wanted`` returns false."""
    copies = Copies(cache_dir, packages)
    if copies.is_complete:
        return
    files = {file.key: file.path for file in _files_to_prepare(packages)}
    if (blueprints := prepare_blueprints(packages, copies)) is not None:
        files[BLUEPRINTS_KEY] = blueprints
    for encoding in _ORDER:
        for key, source in files.items():
            if not is_wanted():  # the server was killed, and nothing else would stop this process
                return
            copies.compress(key, source, encoding)
    copies.mark_complete()
    for other in cache_dir.iterdir():
        if other != copies.root:
            shutil.rmtree(other, ignore_errors=True)


def prepare_blueprints(packages: Packages, copies: Copies) -> Path | None:
    """Write the body of ``/api/global_subgraphs`` to a file, unless it exists; ``None`` without the package."""
    if packages.blueprints is None:
        return None
    path = copies.path(BLUEPRINTS_KEY, IDENTITY)
    if path.exists():
        return path
    return copies.write(BLUEPRINTS_KEY, IDENTITY, msgspec.json.encode(list_blueprints(packages.blueprints)))


def _files_to_prepare(packages: Packages) -> Iterator[WebFile]:
    """The whole frontend, and the indexes of the templates. Templates and help pages are small and rarely requested."""
    names = [p.relative_to(packages.frontend).as_posix() for p in _walk(packages.frontend)] if packages.frontend else []
    names += [f"templates/{p.name}" for root in packages.templates for p in sorted(root.glob("index*.json"))]
    for name in names:
        file = find_file(name, packages, {})
        if file is not None and is_compressible(file.mime_type, file.path.stat().st_size):
            yield file


def _walk(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file())


if __name__ == "__main__":
    main()
