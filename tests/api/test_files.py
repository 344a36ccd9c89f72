"""Uploads, and ``/api/view`` of uploaded files."""

import io
import json

import pytest
from PIL import Image
from tests.api.client import Client
from tests.api.conftest import Server

from safelight.core.ids import LOCAL_USER

pytestmark = pytest.mark.anyio


def png(size: tuple[int, int] = (8, 6), *, alpha: int = 255, colour: tuple[int, int, int] = (200, 10, 30)) -> bytes:
    body = io.BytesIO()
    Image.new("RGBA", size, (*colour, alpha)).save(body, format="PNG")
    return body.getvalue()


def opened(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body))


async def upload(client: Client, data: bytes, filename: str = "a.png", **fields: str) -> object:
    answer = await client.upload("/api/upload/image", fields, image=(filename, data))
    assert answer.status == 200, answer.body
    return answer.json


async def test_names_of_uploads(client: Client) -> None:
    first, other = png(), png(alpha=7)
    assert await upload(client, first) == {"name": "a.png", "subfolder": "", "type": "input"}
    assert await upload(client, first) == {"name": "a.png", "subfolder": "", "type": "input"}
    assert await upload(client, other) == {"name": "a (1).png", "subfolder": "", "type": "input"}
    assert await upload(client, other, overwrite="true") == {"name": "a.png", "subfolder": "", "type": "input"}
    in_folder = await upload(client, first, "b.png", subfolder="sub/x", type="temp")
    assert in_folder == {"name": "b.png", "subfolder": "sub/x", "type": "temp"}
    assert await upload(client, b"hello", "x.txt") == {"name": "x.txt", "subfolder": "", "type": "input"}
    assert await upload(client, first, "C:\\pictures\\c.png") == {"name": "c.png", "subfolder": "", "type": "input"}
    assert (await client.get("/api/view?filename=a.png&type=input")).body == other


@pytest.mark.parametrize(
    ("fields", "filename"),
    [
        ({"subfolder": "../../etc"}, "a.png"),
        ({"subfolder": "/etc"}, "a.png"),
        ({"type": "nope"}, "a.png"),
        ({}, ".."),
        ({}, "a\n.png"),
        ({}, "x" * 300),
    ],
)
async def test_bad_upload_is_400(client: Client, fields: dict[str, str], filename: str) -> None:
    answer = await client.upload("/api/upload/image", fields, image=(filename, png()))
    assert answer.status == 400


async def test_form_that_is_none_is_400(client: Client) -> None:
    assert (await client.upload("/api/upload/image", {"x": "1"})).status == 400
    assert (await client.post("/api/upload/image", {"image": "x"})).status == 400
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert (await client.post("/api/upload/image", b"--b\r\nnonsense", headers=headers)).status == 400
    assert (await client.post("/api/upload/image", b"", headers=headers)).status == 400


async def test_large_upload_is_400_and_leaves_nothing(server: Server) -> None:
    answer = await server.client.upload("/api/upload/image", {}, image=("a.bin", bytes(60_000)))
    assert answer.status == 400
    assert (await server.client.get("/internal/files/input")).json == []
    assert not list((server.models_dir.parent / "blobs" / "incoming").iterdir())


async def test_picture_that_is_too_large_to_decode_is_400(client: Client) -> None:
    wide = Image.new("1", (16_385, 1))
    body = io.BytesIO()
    wide.save(body, format="PNG")
    answer = await client.upload("/api/upload/image", {}, image=("wide.png", body.getvalue()))
    assert answer.status == 400


async def test_view_of_a_file(client: Client) -> None:
    data = png()
    await upload(client, data)
    answer = await client.get("/api/view?filename=a.png&type=input")
    assert answer.body == data
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == 'filename="a.png"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    for path in ("/view?filename=a.png%20%5Binput%5D", "/view?filename=folder/a.png&type=input&rand=0.5"):
        assert (await client.get(path)).body == data


@pytest.mark.parametrize(
    ("header", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=-5", 206, -5, None),
        ("bytes=3-", 206, 3, None),
        ("bytes=0-9999999", 206, 0, None),
        ("bytes=0-1,4-5", 200, 0, None),
        ("nonsense", 200, 0, None),
        ("bytes=5-2", 200, 0, None),
    ],
)
async def test_ranges(client: Client, header: str, status: int, start: int, end: int | None) -> None:
    data = png()
    await upload(client, data)
    answer = await client.get("/api/view?filename=a.png&type=input", {"range": header})
    assert (answer.status, answer.body) == (status, data[start:end])
    assert answer.headers["content-length"] == str(len(answer.body))
    assert ("content-range" in answer.headers) == (status == 206)


async def test_range_beyond_the_file_is_416(client: Client) -> None:
    await upload(client, png())
    answer = await client.get("/api/view?filename=a.png&type=input", {"range": "bytes=999999-"})
    assert answer.status == 416
    assert answer.headers["content-range"] == f"bytes */{len(png())}"


async def test_conditions(client: Client) -> None:
    await upload(client, png())
    path = "/api/view?filename=a.png&type=input"
    headers = (await client.get(path)).headers
    for condition in (
        {"if-none-match": headers["etag"]},
        {"if-none-match": f'"x", W/{headers["etag"]}'},
        {"if-none-match": "*"},
        {"if-modified-since": headers["last-modified"]},
    ):
        answer = await client.get(path, condition)
        assert (answer.status, answer.body) == (304, b"")
    assert (await client.get(path, {"if-none-match": '"x"'})).status == 200
    assert (await client.get(path, {"if-modified-since": "Mon, 01 Jan 2001 00:00:00 GMT"})).status == 200
    assert (await client.get(path, {"range": "bytes=0-1", "if-range": headers["etag"]})).status == 206
    assert (await client.get(path, {"range": "bytes=0-1", "if-range": '"x"'})).status == 200


async def test_head(client: Client) -> None:
    await upload(client, png())
    answer = await client.request("HEAD", "/api/view?filename=a.png&type=input")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == str(len(png()))


async def test_bytes_that_are_gone_are_said_to_be(server: Server) -> None:
    await upload(server.client, png())
    [blob] = [p for p in (server.models_dir.parent / "blobs").rglob("*") if p.is_file()]
    blob.unlink()
    answer = await server.client.get("/api/view?filename=a.png&type=input")
    assert (answer.status, answer.json["code"]) == (404, "blob_not_found")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("filename=../a.png&type=input", 400),
        ("filename=/etc/passwd", 400),
        ("filename=", 400),
        ("", 400),
        ("filename=a.png&type=nope", 400),
        ("filename=a.png&type=temp&subfolder=../..", 400),
        ("filename=nope.png", 404),
        ("filename=a.png&res=63&type=input", 400),
        ("filename=a%00.png", 400),
        ("filename=%ff", 404),
    ],
)
async def test_bad_view(client: Client, query: str, status: int) -> None:
    assert (await client.get(f"/api/view?{query}")).status == status


@pytest.mark.parametrize(
    ("query", "mime_type", "mode"),
    [
        ("channel=rgb", "image/png", "RGB"),
        ("channel=a", "image/png", "RGBA"),
        ("channel=alpha", "image/png", "RGBA"),
        ("channel=rgba", "image/png", "RGBA"),
        ("preview=webp;90", "image/webp", "RGBA"),
        ("preview=jpeg;50", "image/jpeg", "RGB"),
        ("preview=png", "image/webp", "RGBA"),
        ("preview=", "image/webp", "RGBA"),
        ("preview=jpeg;50&channel=rgb", "image/jpeg", "RGB"),
        ("preview=jpeg;50&channel=rgba", "image/webp", "RGBA"),
        ("res=64", "image/jpeg", "RGB"),
    ],
)
async def test_renderings(client: Client, query: str, mime_type: str, mode: str) -> None:
    await upload(client, png((128, 96), alpha=100))
    answer = await client.get(f"/api/view?filename=a.png&type=input&{query}")
    assert answer.headers["content-type"] == mime_type
    image = opened(answer.body)
    assert (image.mode, image.size) == (mode, (64, 48) if "res" in query else (128, 96))
    again = await client.get(f"/api/view?filename=a.png&type=input&{query}", {"if-none-match": answer.headers["etag"]})
    assert again.status == 304


async def test_alpha_is_black_under_the_picture_s_alpha(client: Client) -> None:
    await upload(client, png(alpha=100))
    answer = await client.get("/view?filename=a.png&type=input&channel=a")
    assert opened(answer.body).getpixel((0, 0)) == (0, 0, 0, 100)


async def test_damaged_picture_is_400_when_rendered_and_whole_when_not(client: Client) -> None:
    data = bytearray(png())
    data[29:33] = b"\xff\xff\xff\xff"  # the checksum of its header
    data[20:24] = b"\x00\x00\x00\x00"  # no lines
    await upload(client, bytes(data))
    assert (await client.get("/api/view?filename=a.png&type=input")).body == data
    assert (await client.get("/api/view?filename=a.png&type=input&preview=webp")).status == 400


@pytest.mark.parametrize("filename", ["page.html", "picture.svg", "script.js", "style.css", "data.xml"])
async def test_what_a_browser_would_run_is_downloaded(client: Client, filename: str) -> None:
    await upload(client, b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", filename)
    answer = await client.get(f"/view?filename={filename}&type=input&preview=webp")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")


async def test_names_beyond_ascii(client: Client) -> None:
    await upload(client, png(), "Bäum [x].png")
    answer = await client.get("/view?filename=B%C3%A4um%20[x].png&type=input")
    assert (
        answer.headers["content-disposition"] == "filename=\"B_um [x].png\"; filename*=UTF-8''B%C3%A4um%20%5Bx%5D.png"
    )


async def test_mask_becomes_the_alpha_of_a_copy(client: Client) -> None:
    await upload(client, png(), "photo.png")
    reference = json.dumps({"filename": "photo.png", "type": "input", "subfolder": ""})
    fields = {"original_ref": reference, "subfolder": "clipspace"}
    answer = await client.upload("/api/upload/mask", fields, image=("mask.png", png(alpha=50, colour=(0, 0, 0))))
    assert answer.json == {"name": "mask.png", "subfolder": "clipspace", "type": "input"}
    masked = await client.get("/view?filename=mask.png&type=input&subfolder=clipspace")
    assert opened(masked.body).getpixel((0, 0)) == (200, 10, 30, 50)


@pytest.mark.parametrize(
    "reference", [None, "no json", "[]", '{"filename": "nope.png"}', '{"filename": "photo.png", "type": "x"}']
)
async def test_mask_without_its_original_is_400(client: Client, reference: str | None) -> None:
    fields = {} if reference is None else {"original_ref": reference}
    assert (await client.upload("/api/upload/mask", fields, image=("mask.png", png()))).status == 400


async def test_mask_of_another_size_is_400(client: Client) -> None:
    await upload(client, png((4, 4)), "photo.png")
    fields = {"original_ref": '{"filename": "photo.png", "type": "input"}'}
    assert (await client.upload("/api/upload/mask", fields, image=("mask.png", png()))).status == 400


async def test_internal_files(client: Client) -> None:
    await upload(client, png())
    await upload(client, b"hello", "x.txt")
    await upload(client, png(), "b.png", subfolder="deep")
    assert (await client.get("/internal/files/input")).json == ["x.txt [input]", "a.png [input]"]
    assert (await client.get("/internal/files/nope")).status == 400


async def test_local_user_is_the_owner(server: Server) -> None:
    assert (await server.client.get("/api/user")).json == {"id": LOCAL_USER, "status": "active"}
