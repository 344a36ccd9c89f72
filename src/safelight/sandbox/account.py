"""Accounts of the operating system, and a check whether workers can run as one."""

import glob
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from safelight.sandbox.rules import Account


def find_account(name: str) -> Account:
    """The account with that name or number. Raises :class:`LookupError` if the system has none."""
    try:
        import pwd
    except ImportError:
        raise LookupError("this system has no accounts that workers can run as") from None
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        raise LookupError(f"the system has no account {name!r}") from None
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Account(entry.pw_uid, entry.pw_gid, tuple(groups))


DEVICES = ("/dev/nvidia[0-9]*", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/kfd", "/dev/dri/renderD*")
"""Device files of accelerators, which a worker must be able to open."""

_TRY = """
import json, os, sys
import safelight
for path in json.loads(sys.argv[1]):
    for where in (path, *(os.path.join(path, name) for name in (os.listdir(path) if os.path.isdir(path) else ()))):
        if not os.access(where, os.R_OK | (os.X_OK if os.path.isdir(where) else 0)):
            sys.exit(f"it cannot read {where}")
for path in json.loads(sys.argv[2]):
    if not os.access(path, os.W_OK):
        sys.exit(f"it cannot write to {path}")
if not os.access(sys.argv[3], os.X_OK):
    sys.exit(f"it cannot pass through {sys.argv[3]}")
"""


def why_unusable(
    account: Account, *, reads: Iterable[Path], writes: Iterable[Path], data: Path, python: str = sys.executable
) -> str | None:
    """Why workers cannot run as the account; ``None`` if they can. Needs root, and tries it in a subprocess.

    Workers must be able to start Python, import Safelight, read ``reads``, write to ``writes``, open this machine's
    accelerators, and reach the folder ``data``.
    """
    above = next(path for path in data.resolve().parents if path.exists())
    devices = [device for pattern in DEVICES for device in glob.glob(pattern)]
    paths = [[str(path.resolve()) for path in reads], [*devices, *(str(path.resolve()) for path in writes)]]
    try:
        ran = subprocess.run(
            [python, "-P", "-c", _TRY, *map(json.dumps, paths), str(above)],
            user=account.uid,
            group=account.gid,
            extra_groups=account.groups,
            capture_output=True,
            text=True,
            cwd="/",
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"it cannot start {python} ({getattr(error, 'strerror', None) or error})"
    if ran.returncode == 0:
        return None
    errors = ran.stderr.strip().splitlines()
    return errors[-1] if errors else f"{python} exits with status {ran.returncode}"
