"""Folders of the engines' own: for each slot a home and a place for temporary files that no other slot sees.

The server's own home, with what its owner keeps there, is none of an engine's business. Both folders are new for each
engine: libraries keep compiled code there that they load again, so that the code of one job could reach the next
through them. Temporary files lie in the system's folder for them, since paths of sockets are short.
"""

import contextlib
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

LOAD_JOURNAL = "safelight-loading-"
"""How the name of a journal of packs begins (``runtime/journal.py``): an engine leaves it for the next."""

SEARCHABLE = 0o711


class SlotDirs:
    """Of one server, whose ``root`` for them is nobody else's. ``account``: whose the folders are, if not its own."""

    def __init__(self, root: Path, *, home: Path | None = None, account: Account | None = None) -> None:
        """``home``: one that all slots share and that stays, instead."""
        self._root = root
        self._home = home
        self.temps = _own_temp(root)
        """The parent of folders for temporary files."""
        self._account = account

    def home(self, slot: SlotId) -> Path:
        return self._home or self._root / "homes" / slot

    def temp(self, slot: SlotId) -> Path:
        """The slot's folder for temporary files, where one server has the slot to itself."""
        return self.temps / slot

    def packs(self, slot: SlotId) -> Path:
        """For the slot's copies of node packs, which keep what packs write beside their code."""
        return self._root / "packs" / slot

    def prepare(self, slot: SlotId, environment: Mapping[str, str], *, temp: Path | None = None) -> Mapping[str, str]:
        """Make the slot's folders, without what an earlier server left there; ``environment`` with the way to them.
        ``temp``: the folder for temporary files, if not :meth:`temp`."""
        temp = temp or self.temp(slot)
        remove_tree(temp)
        self.renew(slot, temp=temp)
        make_own(self.packs(slot), self._account)
        kept = {name: value for name, value in environment.items() if not name.startswith("XDG_")}
        variables = {"HOME": str(self.home(slot)), "TMPDIR": str(temp)}
        if site.ENABLE_USER_SITE:  # packages that were installed below the true home are found all the same
            variables["PYTHONUSERBASE"] = site.getuserbase()
        return kept | variables

    def renew(self, slot: SlotId, *, temp: Path | None = None) -> None:
        """Before each engine: nothing that an earlier one wrote is left, but the journal of packs that it imported.
        Blocks."""
        if self._home is None:
            remove_tree(self.home(slot))
        temp = temp or self.temp(slot)
        if temp.is_dir():
            for entry in temp.iterdir():
                if not (entry.name.startswith(LOAD_JOURNAL) and entry.is_file() and not entry.is_symlink()):
                    remove_tree(entry)
        for folder in (self.home(slot), temp):
            make_own(folder, self._account)

    def clear(self) -> None:
        """The engines are gone, and their temporary files with them. Blocks."""
        shutil.rmtree(self.temps, ignore_errors=True)


def make_own(folder: Path, account: Account | None) -> None:
    """Make a folder that its owner alone may enter, and the way there for ``account``."""
    make_way(folder)
    folder.mkdir(mode=0o700, exist_ok=True)
    own(folder, account)


def make_way(folder: Path) -> None:
    """Make the folders above ``folder`` that are missing, so that other accounts can come through them."""
    missing = [path for path in folder.parents if not path.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    for parent in missing:
        parent.chmod(SEARCHABLE)


def remove_tree(path: Path) -> None:
    """Also what its owner has made unreadable. Follows no link. Blocks."""
    if path.is_symlink() or not path.is_dir():
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    with contextlib.suppress(OSError):
        path.chmod(0o700)
    for where, folders, _ in os.walk(path):
        for name in folders:
            folder = Path(where, name)
            if not folder.is_symlink():
                with contextlib.suppress(OSError):
                    folder.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)


def own(folder: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def _own_temp(root: Path) -> Path:
    """The same for the next server of this root, which so finds what a killed one left; unless somebody has put
    something of that name there."""
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
