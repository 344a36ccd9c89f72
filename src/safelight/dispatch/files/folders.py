"""Folders with the owners and modes that confined engines need."""

import contextlib
import os
import shutil
from pathlib import Path

from safelight.sandbox.rules import Account

SEARCHABLE = 0o711
"""Other accounts may pass through, and see no names."""


def make_private(folder: Path, account: Account | None) -> None:
    """Make a folder that only its owner may enter, and its parents so that ``account`` can reach it."""
    make_parents(folder)
    folder.mkdir(mode=0o700, exist_ok=True)
    set_owner(folder, account)


def make_parents(folder: Path) -> None:
    """Make the missing parents of ``folder``, so that other accounts can pass through them."""
    missing = [path for path in folder.parents if not path.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    for parent in missing:
        parent.chmod(SEARCHABLE)


def remove_tree(path: Path) -> None:
    """Remove a file or a folder, also with folders that their owner has made unreadable. Follows no link. Blocks."""
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


def set_owner(folder: Path, account: Account | None) -> None:
    """Give the folder to ``account``, if there is one."""
    if account is not None:
        os.chown(folder, account.uid, account.gid)
