"""An empty Debian in a folder, in which commands run as root, with processes and mounts of their own."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_RUN = """
set -eu
mount --bind "$1" "$1"
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
shift_root=$1; shift
for folder in "$@"; do mkdir -p "$shift_root$folder"; mount --bind -o ro "$folder" "$shift_root$folder"; done
exec chroot "$shift_root" /bin/bash /commands
"""


def why_not() -> str:
    """Why no such root can be made here; empty if one can."""
    if os.geteuid() != 0:
        return "only root can make a Debian root"
    missing = [program for program in ("debootstrap", "unshare", "git") if shutil.which(program) is None]
    return f"{missing[0]} is not installed (Debian: apt-get install debootstrap)" if missing else ""


def make(folder: Path) -> None:
    """Install Debian 12 and nothing else."""
    subprocess.run(
        ["debootstrap", "--variant=minbase", "bookworm", str(folder), "http://deb.debian.org/debian"],
        check=True, capture_output=True, timeout=900,
    )  # fmt: skip
    (folder / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")  # packages start nothing by themselves
    (folder / "usr/sbin/policy-rc.d").chmod(0o755)


@contextmanager
def running(folder: Path, script: str, *, shared: Sequence[Path], limit_s: float) -> Iterator[str]:
    """Run a script of bash; yields what it printed. Its processes end with it. ``shared``: folders of this machine that
    it may read, such as those of a package index."""
    (folder / "commands").write_text(script)
    words = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "bash", "-c", _RUN, "run"]
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or "proxy" in name.lower()}
    kept |= {"PIP_CERT": "/certificates.crt"}
    kept |= {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
    done = subprocess.run(
        [*words, str(folder), *map(str, shared)],
        env=kept | {"DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit_s,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    yield done.stdout


def release(to: Path) -> None:
    """The project's files as a release has them."""
    with to.open("wb") as file:
        subprocess.run(["git", "-C", str(ROOT), "archive", "--format=tar.gz", "HEAD"], check=True, stdout=file)


def systemctl(folder: Path) -> None:
    """Put the stand-in for systemd's program into the root."""
    target = folder / "usr/local/bin/systemctl"
    target.write_text("#!/usr/bin/python3\n" + (Path(__file__).parent / "systemctl.py").read_text())
    target.chmod(0o755)


def connect(folder: Path) -> None:
    """Let programs in the root resolve names, and use the package index and the certificates of this machine."""
    shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
    for place in (Path("/etc/pip.conf"), Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        if place.exists():
            (folder / place.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(place, folder / place.relative_to("/"))
    shutil.copy(BUNDLE, folder / "certificates.crt")
