"""What clients find in saved files, byte for byte where they parse bytes."""

import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from safelight.media.image import save_animated_png, save_png, save_webp
from safelight.media.metadata import Metadata, exif, png_text

PROMPT = {"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "größe 🙂"}}}
WORKFLOW = {"nodes": [], "version": 0.4}
METADATA = Metadata(PROMPT, {"workflow": WORKFLOW, "more": [1, 2]})
BLACK = np.zeros((4, 4, 3), dtype=np.uint8)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += size + 12
    return found


def test_png_has_text_chunks_before_the_pixels(tmp_path: Path) -> None:
    save_png(tmp_path / "a.png", BLACK, metadata=METADATA)
    found = chunks((tmp_path / "a.png").read_bytes())
    assert [kind for kind, _ in found] == [b"IHDR", b"tEXt", b"tEXt", b"tEXt", b"IDAT", b"IEND"]
    assert found[1][1] == b"prompt\0" + json.dumps(PROMPT).encode("ascii")
    assert found[2][1] == b"workflow\0" + json.dumps(WORKFLOW).encode("ascii")
    assert found[3][1] == b"more\0[1, 2]"


def test_animated_png_has_them_after_the_frames(tmp_path: Path) -> None:
    save_animated_png(tmp_path / "a.png", [BLACK, BLACK + 9], frame_s=0.5, metadata=METADATA)
    found = chunks((tmp_path / "a.png").read_bytes())
    kinds = [kind for kind, _ in found]
    assert kinds[-4:] == [b"comf", b"comf", b"comf", b"IEND"]
    assert found[-4][1] == b"prompt\0" + json.dumps(PROMPT).encode("ascii")


def test_webp_has_exif_strings(tmp_path: Path) -> None:
    save_webp(tmp_path / "a.webp", [BLACK], metadata=METADATA)
    with Image.open(tmp_path / "a.webp") as image:
        found = image.getexif()
    assert found[0x0110] == "prompt:" + json.dumps(PROMPT)
    assert found[0x010F] == "workflow:" + json.dumps(WORKFLOW)
    assert found[0x010E] == "more:[1, 2]"


def test_no_metadata_leaves_no_trace(tmp_path: Path) -> None:
    assert png_text(Metadata()) is None
    assert exif(Metadata()) is None
    save_png(tmp_path / "a.png", BLACK)
    assert [kind for kind, _ in chunks((tmp_path / "a.png").read_bytes())] == [b"IHDR", b"IDAT", b"IEND"]
    save_webp(tmp_path / "a.webp", [BLACK])
    assert b"EXIF" not in (tmp_path / "a.webp").read_bytes()
