"""Which of a user's files a combo offers."""

import pytest

from safelight.core.asset import FileName, Folder
from safelight.core.node import InputSchema
from safelight.core.upload_mark import INPUT_LISTING, LISTED_EXTENSIONS, UploadMark, upload_mark


def mark(**config: object) -> UploadMark | None:
    return upload_mark(InputSchema("file", "COMBO", config=config))


def listing(*extensions: str, deep: bool = False, folders: bool = False) -> dict[str, object]:
    return {INPUT_LISTING: {"extensions": extensions, "deep": deep, "folders": folders}}


@pytest.mark.parametrize(
    ("config", "offered"),
    [
        ({"image_upload": True}, ["a.png"]),
        ({"audio_upload": True}, ["b.wav", "c.mp4"]),
        ({"file_upload": True}, ["3d/e.glb"]),
        (listing(".png", ".txt"), ["a.png", "d.TXT"]),
        (listing(".png", ".txt") | {"audio_upload": True}, ["a.png", "d.TXT"]),
        (listing(".wav", ".glb", deep=True), ["b.wav", "3d/e.glb"]),
        (listing(folders=True), ["3d"]),
        (listing(*LISTED_EXTENSIONS), ["a.png", "b.wav", "c.mp4", "d.TXT", "f.unknown"]),
    ],
)
def test_what_is_offered(config: dict[str, object], offered: list[str]) -> None:
    names = ["a.png", "b.wav", "c.mp4", "d.TXT", "3d/e.glb", "f.unknown"]
    files = [FileName(Folder.INPUT, *(name.rsplit("/", 1) if "/" in name else ("", name))) for name in names]
    found = mark(**config)
    assert found is not None
    assert [choice for file in files if (choice := found.choice(file)) is not None] == offered


def test_other_inputs_have_no_mark() -> None:
    assert mark() is None
    assert upload_mark(InputSchema("image", "IMAGE", config={"image_upload": True})) is None
