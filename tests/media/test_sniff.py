"""Signatures, against files from real encoders and against bytes that only resemble one."""

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from safelight.media.sniff import HEAD_BYTES, mime_type_of, sniff


@pytest.mark.parametrize(
    ("format", "mime_type"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("AVIF", "image/avif"),
        ("JPEG2000", "image/jp2"),
        ("ICO", "image/x-icon"),
        ("PDF", "application/pdf"),
    ],
)
def test_pictures(format: str, mime_type: str) -> None:
    written = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(written, format=format)
    assert sniff(written.getvalue()[:HEAD_BYTES]) == mime_type


@pytest.mark.parametrize(
    ("head", "mime_type"),
    [
        (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "video/mp4"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0", "audio/mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\x02\0qt  ", "video/quicktime"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "image/avif"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heic"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82\x88matroska", "video/x-matroska"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"RIFF\x24\0\0\0AVI LIST", "video/x-msvideo"),
        (b"fLaC\0\0\0\x22", "audio/flac"),
        (b"OggS\0\x02" + bytes(20) + b"\x01\x13OpusHead", "audio/ogg"),
        (b"OggS\0\x02" + bytes(20) + b"\x01\x2a\x80theora", "video/ogg"),
        (b"ID3\x04\0\0", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"FORM\0\0\0\x10AIFFCOMM", "audio/aiff"),
        (b"\x76\x2f\x31\x01\x02\0\0\0", "image/x-exr"),
        (b"glTF\x02\0\0\0", "model/gltf-binary"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg">', "image/svg+xml"),
        (b"  <svg>", "image/svg+xml"),
    ],
)
def test_signatures(head: bytes, mime_type: str) -> None:
    assert sniff(head) == mime_type


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"RIFF",
        b"plain text",
        b"<html><svg>",
        b"\xff\xff\xff\xff",
        b"\xff\xfb\xf0\x64",
        b"BMW drives",
        bytes(512),
    ],
)
def test_unknown_bytes_are_not_guessed(head: bytes) -> None:
    assert sniff(head) is None


@pytest.mark.parametrize(
    ("filename", "head", "mime_type"),
    [
        ("a.txt", b"hello", "text/plain"),
        ("a.json", b"{}", "application/json"),
        ("A.LATENT", b"\x40\0\0\0\0\0\0\0{", "application/octet-stream"),
        ("script.txt", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("picture.png", b"<script>", "application/octet-stream"),
        ("no-ending", b"hello", "application/octet-stream"),
    ],
)
def test_the_name_matters_only_if_the_bytes_are_inconclusive(filename: str, head: bytes, mime_type: str) -> None:
    assert mime_type_of(filename, head) == mime_type


def test_is_light() -> None:
    """The server sniffs every upload; it must not import numpy for that."""
    source = Path(sys.modules["safelight.media.sniff"].__file__ or "").read_text()
    imported = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported <= set(sys.stdlib_module_names)
