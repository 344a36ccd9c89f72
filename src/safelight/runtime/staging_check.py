"""Whether a call failed because of the job's staging folder, and not because of the node."""

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_PROBE_BYTES = 64 * 1024


def storage_failure(error: BaseException, *, staging: Path, has_files: bool) -> str | None:
    """Return what is wrong with ``staging``, the job's folder, or ``None``. ``has_files``: the job has begun to write
    files there.

    Libraries raise their own errors when the disk is full, so for a job that writes files the folder itself is tested.
    """
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in _NO_ROOM:
            return f"no space for the job's files: {each.strerror}"
    if not has_files:
        return None
    if not staging.is_dir():
        return "the folder for the job's files is gone"
    try:
        with tempfile.TemporaryFile(dir=staging, buffering=0) as file:
            file.write(bytes(_PROBE_BYTES))
            os.fsync(file.fileno())
    except OSError as refused:
        return f"the folder for the job's files cannot be written to: {refused.strerror}"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__
