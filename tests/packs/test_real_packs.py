"""Third-party node packs, unchanged, from a folder outside the project. Skipped if there is none.

The folder is ``$SAFELIGHT_TEST_PACKS``, else ``.cache/packs``: one folder per pack, as in ComfyUI's ``custom_nodes``.
"""

import base64
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.packs.engine import Engine, file_ref, node, running

from safelight.core.event import PreviewMade
from safelight.shims.install import ShimFinder

FOLDER = Path(os.environ.get("SAFELIGHT_TEST_PACKS") or Path(__file__).parents[2] / ".cache/packs").absolute()

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no node packs in {FOLDER} (SAFELIGHT_TEST_PACKS)")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running(tmp_path_factory.mktemp("staging"), custom_nodes=(str(FOLDER),)) as started:
        yield started


def needs(engine: Engine, *names: str) -> None:
    missing = set(names) - {n.name for n in engine.ready.nodes}
    if missing:
        pytest.skip(f"no pack in {FOLDER} has {', '.join(sorted(missing))}")


def png(size: tuple[int, int], colour: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, colour).save(made, format="PNG")
    return made.getvalue()


def test_packs_only_fail_if_their_libraries_are_missing(real: Engine) -> None:
    ours = ShimFinder().roots
    for pack, reason in real.ready.failed_packs.items():
        print(f"{pack}: {reason}")
        assert reason.startswith(("ModuleNotFoundError: No module named", "it defines no nodes")), (pack, reason)
        assert reason.partition("'")[2].partition("'")[0].partition(".")[0] not in ours, (pack, reason)
    modules = {n.module.partition(".")[2] for n in real.ready.nodes if n.module.startswith("custom_nodes.")}
    print("with nodes:", ", ".join(sorted(modules)))
    assert modules


def test_pictures_over_the_socket(real: Engine) -> None:
    """comfyui-tooling-nodes: what external tools send and receive."""
    needs(real, "ETN_LoadImageBase64", "ETN_CropImage", "ETN_SendImageWebSocket", "ETN_LoadMaskBase64")
    prompt = {
        "1": node("ETN_LoadImageBase64", image=base64.b64encode(png((8, 6), "red")).decode()),
        "2": node("ETN_CropImage", image=["1", 0], x=1, y=1, width=4, height=3),
        "3": node("ETN_LoadMaskBase64", mask=base64.b64encode(png((4, 3), "white")).decode()),
        "4": node("ETN_ApplyMaskToImage", image=["2", 0], mask=["3", 0]),
        "5": node("ETN_SendImageWebSocket", images=["4", 0]),
    }
    ran = real.complete(prompt, "5")
    [sent] = ran.of_kind(PreviewMade)
    with Image.open(io.BytesIO(sent.image)) as image:
        assert (image.format, image.size, image.getpixel((0, 0))[:3]) == ("PNG", (4, 3), (255, 0, 0))  # type: ignore[index]


def test_files_and_pillow_pictures(real: Engine, tmp_path: Path) -> None:
    """comfyui-ib-customnodes: files by name, and Pillow images between nodes."""
    needs(real, "LoadImageFromPath", "ImageToPIL", "PILToImage")
    path = tmp_path / "file"
    path.write_bytes(png((5, 4), "lime"))
    prompt = {
        "1": node("LoadImageFromPath", image="made/green.png [output]"),
        "2": node("ImageToPIL", images=["1", 0]),
        "3": node("PILToImage", images=["2", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix="x"),
    }
    ran = real.complete(prompt, "4", files={"made/green.png [output]": file_ref(path)})
    with Image.open(ran.files[0].path) as image:
        assert (image.size, image.getpixel((0, 0))) == ((5, 4), (0, 255, 0))
