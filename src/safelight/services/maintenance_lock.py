"""The lock of an installation that keeps what removes blobs from running beside what copies them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safelight.core.errors import Unavailable


@contextmanager
def maintenance_lock(data_dir: Path) -> Iterator[None]:
    """Hold the lock. Raises :class:`Unavailable` if another command or the server's housekeeping holds it."""
    handle = os.open(data_dir / "maintenance.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Unavailable(f"a gc or backup of {data_dir.resolve()} is running; try again when it has ended") from None
    else:
        yield
    finally:
        os.close(handle)
