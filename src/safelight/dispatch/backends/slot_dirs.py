"""Directories of the engines' own: for each slot a home and a folder for temporary files that no other slot sees.

Engines have no business in the server's own home. Both directories are new for each engine: libraries store compiled
code there and load it again, so that the code of one job could otherwise reach the next. Temporary files go below the
system's folder for them, because paths of sockets must be short.
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
from safelight.dispatch.files.folders import SEARCHABLE, make_private, remove_tree
from safelight.sandbox.rules import Account

LOAD_JOURNAL = "safelight-loading-"
"""Prefix of the journal of packs (``runtime/import_journal.py``), which an engine leaves for the next."""


class SlotDirs:
    """The directories of one server's slots."""

    def __init__(self, root: Path, *, home: Path | None = None, account: Account | None = None) -> None:
        """``root``: no other server uses it. ``home``: a home that all slots share and that stays. ``account``: the
        owner of the directories, if not the server's account."""
        self._root = root
        self._home = home
        self.temps = _own_temp(root)
        """The parent of the folders for temporary files."""
        self._account = account

    def home(self, slot: SlotId) -> Path:
        return self._home or self._root / "homes" / slot

    def temp(self, slot: SlotId) -> Path:
        """The slot's folder for temporary files, if only one server uses the slot."""
        return self.temps / slot

    def packs(self, slot: SlotId) -> Path:
        """The slot's copies of node packs, with what the packs write beside their code."""
        return self._root / "packs" / slot

    def prepare(self, slot: SlotId, environment: Mapping[str, str], *, temp: Path | None = None) -> Mapping[str, str]:
        """Make the slot's directories, without what an earlier server left there. Return ``environment`` with variables
        that point to them. ``temp``: the folder for temporary files, if not :meth:`temp`."""
        temp = temp or self.temp(slot)
        remove_tree(temp)
        self.renew(slot, temp=temp)
        make_private(self.packs(slot), self._account)
        kept = {name: value for name, value in environment.items() if not name.startswith("XDG_")}
        variables = {"HOME": str(self.home(slot)), "TMPDIR": str(temp)}
        if site.ENABLE_USER_SITE:  # packages installed below the real home must still be found
            variables["PYTHONUSERBASE"] = site.getuserbase()
        return kept | variables

    def renew(self, slot: SlotId, *, temp: Path | None = None) -> None:
        """Remove what an earlier engine wrote, except the journal of the packs that it imported. Called before each
        engine. Blocks."""
        if self._home is None:
            remove_tree(self.home(slot))
        temp = temp or self.temp(slot)
        if temp.is_dir():
            for entry in temp.iterdir():
                if not (entry.name.startswith(LOAD_JOURNAL) and entry.is_file() and not entry.is_symlink()):
                    remove_tree(entry)
        for folder in (self.home(slot), temp):
            make_private(folder, self._account)

    def clear(self) -> None:
        """Remove the temporary files of engines that have ended. Blocks."""
        shutil.rmtree(self.temps, ignore_errors=True)


def _own_temp(root: Path) -> Path:
    """The parent of temporary folders. It has the same name for the next server of this root, which so finds what a
    killed server left; a random name if the path is taken by another account."""
    name = f"safelight-{os.geteuid()}-{blake2b(str(root).encode(), digest_size=4).hexdigest()}"
    path = Path(tempfile.gettempdir(), name)
    try:
        path.mkdir(mode=SEARCHABLE)
    except FileExistsError:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            path = Path(tempfile.mkdtemp(prefix="safelight-"))
    path.chmod(SEARCHABLE)
    return path
