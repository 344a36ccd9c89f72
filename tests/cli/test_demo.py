"""``safelight demo --once`` from start to end: a server, a prompt, a picture."""

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image


def test_the_demo_makes_its_picture(tmp_path: Path) -> None:
    """The picture matches the prompt: a yellow star in the center of a blue background."""
    command = [sys.executable, "-m", "safelight.cli", "demo", "--once", "--port", "0"]
    options = ["--data-dir", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    ran = subprocess.run([*command, *options], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    picture = Image.open(tmp_path / "out" / "first_00001_.png")
    assert picture.size == (512, 512)
    prompt = json.loads(picture.text["prompt"])  # type: ignore[attr-defined]
    assert {node["class_type"] for node in prompt.values()} >= {"CheckpointLoaderSimple", "KSampler", "VAEDecode"}
    for corner in ((0, 0), (480, 0), (0, 480), (480, 480)):
        red, _, blue = _mean(picture, corner)
        assert blue > 2 * red
    red, green, blue = _mean(picture, (240, 240))
    assert min(red, green) > 2 * blue


def _mean(picture: Image.Image, corner: tuple[int, int], side: int = 32) -> tuple[int, int, int]:
    x, y = corner
    one = picture.crop((x, y, x + side, y + side)).resize((1, 1), Image.Resampling.BOX)
    return one.getpixel((0, 0))  # type: ignore[return-value]
