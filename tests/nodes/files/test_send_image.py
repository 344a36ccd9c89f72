"""Images sent through the WebSocket."""

import io
import math
from pathlib import Path

import torch
from PIL import Image
from tests.nodes.context import FolderContext

from safelight.nodes.files.send_image import SaveImageWebsocket


def test_each_image_is_sent_as_png_in_full_size(tmp_path: Path) -> None:
    pictures = torch.zeros(2, 5, 700, 3)
    pictures[1, ..., 0] = 1.0
    with FolderContext(tmp_path).running() as run:
        assert SaveImageWebsocket.execute(images=pictures).values == ()
    assert run.saved == []
    assert [kind for _, kind in run.images] == ["image/png", "image/png"]
    opened = [Image.open(io.BytesIO(body)) for body, _ in run.images]
    assert [(image.format, image.size, image.info) for image in opened] == [("PNG", (700, 5), {})] * 2
    assert [image.getpixel((0, 0)) for image in opened] == [(0, 0, 0), (255, 0, 0)]
    assert run.steps == [(1, 2), (2, 2)]


def test_a_rerun_sends_again() -> None:
    assert math.isnan(SaveImageWebsocket.fingerprint_inputs(images=torch.zeros(1, 2, 2, 3)))
