"""``safelight demo --once``, whole: a server of its own, a photograph in, a picture out."""

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image


def test_the_demo_makes_its_picture(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "safelight.cli", "demo", "--once", "--port", "0"]
    options = ["--data-dir", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    ran = subprocess.run([*command, *options], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    picture = Image.open(tmp_path / "out" / "print_00001_.png")
    assert picture.size == (768, 768)
    prompt = json.loads(picture.text["prompt"])  # type: ignore[attr-defined]
    assert len(prompt) >= 8
    middle, corner = picture.crop((340, 100, 420, 180)), picture.crop((0, 0, 80, 80))
    assert corner.resize((1, 1)).getpixel((0, 0)) != middle.resize((1, 1)).getpixel((0, 0))
    red, green, blue = corner.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert red > 2 * green
    assert red > 2 * blue
