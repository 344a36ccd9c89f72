"""Importing node packs as a worker does, in a process of its own, to see which of them load."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from safelight import settings
from safelight.core.errors import SafelightError
from safelight.core.pack import PackStatus, pack_statuses
from safelight.dispatch.backends.process import scrub

_PACKS_S = 600


class NotChecked(SafelightError):
    """The packs could not be imported at all."""


def import_packs(folders: Sequence[Path], *, libraries: Path) -> list[PackStatus]:
    """Import all packs in ``folders``; if one kills the process, again without it. Raises :class:`NotChecked`."""
    places = [str(folder.resolve()) for folder in folders]
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "journal.json")
        command = [sys.executable, "-m", "safelight.runtime.check_packs", str(journal), str(libraries), *places]
        environment = scrub(settings.process_environment())
        for _ in range(1 + sum(1 for place in places for _ in Path(place).iterdir())):
            ran = subprocess.run(command, capture_output=True, text=True, timeout=_PACKS_S, env=environment)
            if ran.returncode == 0 or not journal.is_file():
                break
    if ran.returncode:
        lines = ran.stderr.strip().splitlines()
        raise NotChecked(f"the check of the packs failed: {lines[-1] if lines else f'exit status {ran.returncode}'}")
    report = json.loads(ran.stdout.strip().splitlines()[-1])
    return pack_statuses(report["modules"], report["failed"])
