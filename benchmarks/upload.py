"""``python -m benchmarks.upload [--mib N]``: the upload of one large file, as a ratio to the cost of disk and digests.

Writes a file of random bytes, then alternates: copy it and compute both digests that the server keeps (blake3 and
SHA-256), and upload it by ``POST /api/assets`` to a Safelight server that it starts. The client is a socket and
``sendfile``, so that only the server is measured. Prints the ratio and the server's peak resident memory. Each turn's
file has a different first byte, because the server does not write bytes again that it already has.
"""

import argparse
import hashlib
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from benchmarks.own_server import own_server
from blake3 import blake3

RESULTS = Path(__file__).parent / "results"
TURNS = 5
_CHUNK = 1 << 20
_BOUNDARY = "benchmark-boundary"


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="safelight-upload-") as folder, own_server() as ours:
        source = Path(folder, "random.bin")
        _write_random(source, arguments.mib)
        alone, uploads = [], []
        idle = ours.peak_rss_bytes()
        for turn in range(TURNS):
            _change_first_byte(source, turn)
            alone.append(_timed(lambda: _copy_and_digest(source, Path(folder, "copy.bin"))))
            uploads.append(_timed(lambda: _upload(ours.url, source)))
            print(f"copy and digests {alone[-1]:.2f} s, upload {uploads[-1]:.2f} s", file=sys.stderr)
        peak = ours.peak_rss_bytes()
    report = {
        "mib": arguments.mib,
        "copy_and_digests_s": median(alone),
        "upload_s": median(uploads),
        "upload_mib_s": arguments.mib / median(uploads),
        "speed_beside_copy_and_digests": median(a / b for a, b in zip(alone, uploads, strict=True)),
        "server_idle_peak_mb": idle / 2**20,
        "server_peak_mb": peak / 2**20,
    }
    print(json.dumps(report := {name: round(value, 3) for name, value in report.items()}, indent=2))
    path = arguments.output or RESULTS / f"upload-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {path}", file=sys.stderr)


def _write_random(path: Path, mib: int) -> None:
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))


def _change_first_byte(path: Path, value: int) -> None:
    with path.open("r+b") as file:
        file.write(bytes([value]))


def _copy_and_digest(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        ours, theirs = blake3(), hashlib.sha256()
        while chunk := file.read(_CHUNK):
            ours.update(chunk)
            theirs.update(chunk)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    target.unlink()


def _upload(url: str, source: Path) -> None:
    """Upload in one request; raise :class:`RuntimeError` unless the response is 201."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="tags"\r\n\r\ninput\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{source.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{_BOUNDARY}--\r\n".encode()
    size = source.stat().st_size
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as connection, source.open("rb") as file:
        lines = (
            "POST /api/assets HTTP/1.1",
            f"Host: {address.netloc}",
            f"Content-Type: multipart/form-data; boundary={_BOUNDARY}",
            f"Content-Length: {len(head) + size + len(tail)}",
            "Connection: close",
        )
        connection.sendall("\r\n".join((*lines, "", "")).encode() + head)
        connection.sendfile(file)
        connection.sendall(tail)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    status = answer.split(b" ", 2)[1]
    if status != b"201":
        raise RuntimeError(f"the upload was answered {answer[:500]!r}")


def _timed(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file (default: 1024)")
    parser.add_argument("--output", type=Path, help="file for the JSON (default: in benchmarks/results/)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
