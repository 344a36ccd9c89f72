"""The captured uploads, in order, and how the files are viewed afterwards."""

import io
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image
from tests.captures.client import Answer, ask, picture, upload
from tests.captures.compare import expected, load

DATA = load("files")
UPLOADS = {case["case"]: case for case in DATA["uploads"]}
VIEWS = [pytest.param(case, id=_id) for case in DATA["views"] for _id in [f"{case['request']} {case['status']}"]]


@pytest.fixture(scope="module")
def uploaded(url: str) -> dict[str, Answer]:
    return {name: _upload(url, case) for name, case in UPLOADS.items()}


@pytest.mark.parametrize("name", UPLOADS)
def test_upload(uploaded: dict[str, Answer], name: str) -> None:
    told, wanted = uploaded[name], expected(UPLOADS[name])
    assert told.status == wanted["status"], told.body
    _check_body(told, wanted)


@pytest.mark.parametrize("case", VIEWS)
def test_view(url: str, uploaded: dict[str, Answer], case: dict[str, Any]) -> None:
    wanted, asked = expected(case), dict[str, str]()
    if "range" in case:
        asked["range"] = case["range"]
    if "if_none_match" in case:
        asked["if-none-match"] = ask(url, case["request"]).headers["etag"]
    told = ask(url, case["request"], headers=asked)
    assert told.status == wanted["status"], told.body
    _check_headers(told, wanted.get("headers", {}))
    _check_body(told, wanted)
    if "length" in wanted:
        assert told.headers["content-length"] == wanted["length"]


def _check_headers(told: Answer, wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if isinstance(value, bool):
            assert (name in told.headers) is value, name
        else:
            assert told.headers[name] == value
    if "etag" in told.headers:
        assert told.headers["etag"].strip('"')


def _check_body(told: Answer, wanted: Mapping[str, Any]) -> None:
    if "error" in wanted:
        assert told.json["code"] == wanted["error"]
        assert set(told.json) == {"code", "message"}
    elif "answer" in wanted:
        assert told.json == wanted["answer"]
    elif "head" in wanted:
        assert told.body.hex() == wanted["head"]
    elif "text" in wanted:
        assert told.body.decode() == wanted["text"]
    elif "image" in wanted:
        with Image.open(io.BytesIO(told.body)) as image:
            seen = {"format": image.format, "mode": image.mode, "size": list(image.size)}
            pixel = image.getpixel((0, 0))
        assert {**seen, "pixel": list(pixel) if isinstance(pixel, tuple) else pixel} == wanted["image"]
    else:
        assert told.body == b""


def _upload(url: str, case: Mapping[str, Any]) -> Answer:
    files = {name: (f["filename"], f["type"], _content(f["content"])) for name, f in case["files"].items()}
    return upload(url, case["request"].removeprefix("POST "), case["fields"], files)


def _content(name: str) -> bytes:
    return picture(DATA["pictures"][name]) if name in DATA["pictures"] else name.encode()
