"""Third-party node packs, unchanged, from a folder outside the project. Skipped if there is none.

The folder is ``$SAFELIGHT_TEST_PACKS``, else ``.cache/packs``: one folder per pack, as in ComfyUI's ``custom_nodes``.
``$SAFELIGHT_TEST_LIBRARIES``: the folder of their libraries, as ``safelight pack add`` makes it.
"""

import base64
import io
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.media.films import film
from tests.packs.engine import Engine, file_ref, node, running

from safelight.core.event import PreviewMade
from safelight.shims.install import ShimFinder

FOLDER = Path(os.environ.get("SAFELIGHT_TEST_PACKS") or Path(__file__).parents[2] / ".cache/packs").absolute()

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no node packs in {FOLDER} (SAFELIGHT_TEST_PACKS)")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    libraries = os.environ.get("SAFELIGHT_TEST_LIBRARIES", "")
    folder = tmp_path_factory.mktemp("staging")
    with running(folder, custom_nodes=(str(FOLDER),), pack_libraries=libraries) as started:
        yield started


def needs(engine: Engine, *names: str) -> None:
    missing = set(names) - {n.name for n in engine.ready.nodes}
    if missing:
        pytest.skip(f"no pack in {FOLDER} has {', '.join(sorted(missing))}")


def png(size: tuple[int, int], colour: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, colour).save(made, format="PNG")
    return made.getvalue()


def test_packs_only_fail_for_reasons_of_their_own(real: Engine) -> None:
    """Their libraries are missing, a node needs ComfyUI's own engine, or its class is wrong in ComfyUI too."""
    ours = ShimFinder().roots
    for pack, reason in real.ready.failed_packs.items():
        print(f"{pack}: {reason}")
        if "runs on a ComfyUI engine" in reason or re.match(r"AttributeError: FUNCTION of \w+ does not name", reason):
            continue
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


TEXTS: dict[str, tuple[dict[str, Any], str]] = {
    "JoinStrings": ({"delimiter": "-", "string1": "a", "string2": "b"}, "a-b"),
    "StringFunction|pysssss": ({"action": "append", "tidy_tags": "yes", "text_a": "a", "text_b": "b"}, "a, b"),
    "Evaluate Integers": (
        {"python_expression": "a * b + c", "print_to_console": "False", "a": 2, "b": 3, "c": 4},
        "10",
    ),
    "easy mathInt": ({"a": 6, "b": 7, "operation": "multiply"}, "42"),
    "CR Seed": ({"seed": 12}, "12"),
    "Seed (rgthree)": ({"seed": 5}, "5"),
    "Text Concatenate": ({"delimiter": " ", "clean_whitespace": "true", "text_a": "a", "text_b": "b"}, "a b"),
}
"""Text and numbers: a node, its inputs, and its first output."""


@pytest.mark.parametrize("name", TEXTS)
def test_texts_and_numbers(real: Engine, name: str) -> None:
    needs(real, name)
    inputs, expected = TEXTS[name]
    assert real.complete({"1": node(name, **inputs), "2": node("PreviewAny", source=["1", 0])}, "2").text == expected


PICTURES: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "ImageResizeKJ": (
        {"width": 16, "height": 8, "upscale_method": "lanczos", "keep_proportion": False} | {"divisible_by": 2},
        (16, 8),
    ),
    "ImageFlip+": ({"axis": "x"}, (32, 24)),
    "ImageResize+": (
        {"width": 8, "height": 6, "interpolation": "nearest", "method": "stretch", "condition": "always"}
        | {"multiple_of": 0},
        (8, 6),
    ),
    "Image Resize (rgthree)": (
        {"measurement": "pixels", "width": 16, "height": 0, "fit": "contain", "method": "bilinear"},
        (16, 12),
    ),
    "Image Rotate": (
        {"images": ["0", 0], "mode": "transpose", "rotation": 90, "sampler": "nearest"},
        (24, 32),
    ),
    "VHS_DuplicateImages": ({"images": ["0", 0], "multiply_by": 2}, (32, 24)),
    "ConstrainImage|pysssss": (
        {"images": ["0", 0], "max_width": 16, "max_height": 16, "min_width": 0, "min_height": 0}
        | {"crop_if_required": "no"},
        (16, 12),
    ),
}
"""Pictures of 32 x 24: a node, its other inputs, and the size of its first output."""


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(real: Engine, name: str) -> None:
    needs(real, name)
    inputs, size = PICTURES[name]
    prompt = {
        "0": node("EmptyImage", width=32, height=24, batch_size=1, color=0x3366AA),
        "1": node(name, **({"image": ["0", 0]} | inputs)),
        "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
    }
    schema = next(n for n in real.ready.nodes if n.name == name)
    if schema.input("image") is None:
        prompt["1"]["inputs"].pop("image")
    with Image.open(real.complete(prompt, "2").files[0].path) as image:
        assert image.size == size


def test_films_are_loaded_and_written(real: Engine, tmp_path: Path) -> None:
    """ComfyUI-VideoHelperSuite: an uploaded film, its frames, and a film of them."""
    needs(real, "VHS_LoadVideo", "VHS_VideoCombine")
    uploaded = film(tmp_path / "film.mp4", count=4, rate=Fraction(4))
    timing = {"force_rate": 0, "frame_load_cap": 0, "skip_first_frames": 1, "select_every_nth": 1}
    prompt = {
        "1": node("VHS_LoadVideo", video="film.mp4", custom_width=0, custom_height=0, **timing),
        "2": node(
            "VHS_VideoCombine",
            images=["1", 0],
            frame_rate=4,
            loop_count=0,
            filename_prefix="made",
            format="image/gif",
            pingpong=False,
            save_output=True,
        ),
        "3": node("PreviewAny", source=["1", 1]),
    }
    ran = real.complete(prompt, "2", "3", files={"film.mp4": file_ref(uploaded, "video/mp4")})
    assert ran.shown["3"]["text"] == ["3"]
    [made] = [file for file in ran.files if file.filename.endswith(".gif")]
    with Image.open(made.path) as image:
        assert (image.size, image.n_frames) == ((64, 48), 3)  # type: ignore[attr-defined]
