"""Folders of the engines' own: a home that all share, and for each slot a place for temporary files that no other sees.

The server's own home, with what its owner keeps there, is none of an engine's business. Temporary files lie in the
system's folder for them, since paths of sockets are short.
"""

import os
import shutil
import site
import stat
import tempfile
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from safelight.core.worker import SlotId
from safelight.sandbox.rules import Account

_SEARCHABLE = 0o711


class Rooms:
    """Of one server, whose ``root`` for them is nobody else's. ``account``: whose the folders are, if not its own."""

    def __init__(self, root: Path, *, account: Account | None = None) -> None:
        self.home = root / "home"
        self.temps = _own_temp(root)
        """The parent of folders for temporary files."""
        self._account = account

    def temp(self, slot: SlotId) -> Path:
        """The slot's folder for temporary files, where one server has the slot to itself."""
        return self.temps / slot

    def furnish(self, temp: Path, environment: Mapping[str, str]) -> Mapping[str, str]:
        """Make the home, and ``temp`` without what is left there; ``environment`` with the way to both."""
        self.home.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temp, ignore_errors=True)
        for folder in (self.home, temp):
            folder.mkdir(mode=0o700, exist_ok=True)
            own(folder, self._account)
        kept = {name: value for name, value in environment.items() if not name.startswith("XDG_")}
        variables = {"HOME": str(self.home), "TMPDIR": str(temp)}
        if site.ENABLE_USER_SITE:  # packages that were installed below the true home are found all the same
            variables["PYTHONUSERBASE"] = site.getuserbase()
        return kept | variables

    def clear(self) -> None:
        """The engines are gone, and their temporary files with them. Blocks."""
        shutil.rmtree(self.temps, ignore_errors=True)


def own(folder: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def _own_temp(root: Path) -> Path:
    """The same for the next server of this root, which so finds what a killed one left; unless somebody has put
    something of that name there."""
    name = f"safelight-{os.geteuid()}-{blake2b(str(root).encode(), digest_size=4).hexdigest()}"
    path = Path(tempfile.gettempdir(), name)
    try:
        path.mkdir(mode=_SEARCHABLE)
    except FileExistsError:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            path = Path(tempfile.mkdtemp(prefix="safelight-"))
    path.chmod(_SEARCHABLE)
    return path
