"""Files for tests: names, and digests of bytes that no store needs to hold."""

from safelight.blobs.hashing import hash_bytes
from safelight.core.asset import FileName
from safelight.services.named_files import NewFile


def new_file(file: FileName, data: bytes, mime_type: str = "image/png") -> NewFile:
    return NewFile(file=file, digest=hash_bytes(data), size=len(data), mime_type=mime_type)
