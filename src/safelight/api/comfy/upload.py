"""``/api/upload``: uploads in ComfyUI's form. Bytes go into the blob store as they arrive; then a row names them."""

import asyncio
import io
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import unchecked_body
from safelight.api.multipart import Form, UploadedFile, read_form
from safelight.api.request_body import InvalidBody, parse_json
from safelight.api.responses import json_response
from safelight.core.asset import Asset, FileName, Folder, clean_filename, clean_subfolder, parse_file_name
from safelight.core.digest import Digest
from safelight.core.errors import Invalid, NotFound
from safelight.services import asset_access, named_files
from safelight.services.named_files import NewFile

MAX_EDGE = 16_384
"""Pixels: the contract's limit of a picture's width and height."""


@unchecked_body
async def upload_image(app: App, request: ApiRequest) -> Response:
    form, uploaded = await _read(app, request)
    file = _target(form, uploaded.filename)
    mime_type = _mime_type(uploaded)
    await _check_picture(app, uploaded.digest, mime_type, name=uploaded.filename)
    new = NewFile(file=file, digest=uploaded.digest, size=uploaded.size, mime_type=mime_type, sha256=uploaded.sha256)
    return await _register(app, request, new, overwrite=_is_true(form.fields.get("overwrite")))


@unchecked_body
async def upload_mask(app: App, request: ApiRequest) -> Response:
    """Copy the original that ``original_ref`` names, with the alpha channel of the uploaded picture."""
    who = request.who
    form, uploaded = await _read(app, request)
    original_name = _original(form.fields.get("original_ref"))
    try:
        original = await app.db.read(lambda tx: asset_access.by_file_name(tx, who, file=original_name))
    except NotFound:
        raise Invalid(f"the original {original_name} does not exist") from None
    await _check_picture(app, uploaded.digest, "image/png", name=uploaded.filename)
    await _check_picture(app, original.digest, "image/png", name=original.name)
    body = await _masked(app, original, uploaded.digest, mask_name=uploaded.filename)
    writer = app.blobs.writer()
    try:
        await writer.write(body)
        digest, size = await writer.finish()
    finally:
        await writer.abort()
    file = _target(form, str(PurePosixPath(uploaded.filename).with_suffix(".png")))
    new = NewFile(file=file, digest=digest, size=size, mime_type="image/png", sha256=writer.sha256)
    return await _register(app, request, new, overwrite=_is_true(form.fields.get("overwrite")))


async def _read(app: App, request: ApiRequest) -> tuple[Form, UploadedFile]:
    with app.uploads.counted(request.who.user_id):
        form = await read_form(request.http, app.blobs, file_field="image", limit=app.settings.limits.max_upload_bytes)
    uploaded = form.files.get("image")
    if uploaded is None:
        raise InvalidBody("the form has no file 'image'")
    return form, uploaded


async def _register(app: App, request: ApiRequest, new: NewFile, *, overwrite: bool) -> Response:
    who, now = request.who, app.clock.now()
    asset = await app.db.write(lambda tx: named_files.upload(tx, who, new=new, overwrite=overwrite, now=now))
    assert asset.file is not None
    name = {"name": asset.file.filename, "subfolder": asset.file.subfolder, "type": asset.file.folder.value}
    return json_response(name)


def _target(form: Form, filename: str) -> FileName:
    """Where the upload goes; without a ``type`` it is an input, as ComfyUI's clients expect."""
    folder = form.fields.get("type") or "input"
    if folder not in {f.value for f in Folder}:
        raise InvalidBody(f"{folder!r} is not a type of upload; valid are input, output and temp")
    name = filename.replace("\\", "/").rpartition("/")[2]
    return FileName(Folder(folder), clean_subfolder(form.fields.get("subfolder", "")), clean_filename(name))


def _original(text: str | None) -> FileName:
    reference: Any = parse_json(text.encode()) if text else None
    if not isinstance(reference, dict) or not isinstance(reference.get("filename"), str):
        raise InvalidBody("'original_ref' must be a JSON object with a 'filename'")
    folder = reference.get("type") or "output"
    if folder not in {f.value for f in Folder}:
        raise InvalidBody(f"{folder!r} is not a type of file; valid are input, output and temp")
    named = parse_file_name(reference["filename"], default=Folder(folder))
    subfolder = reference.get("subfolder") or named.subfolder
    return FileName(named.folder, clean_subfolder(str(subfolder)), named.filename)


def _mime_type(uploaded: UploadedFile) -> str:
    from safelight.media.sniff import mime_type_of

    return mime_type_of(uploaded.filename, uploaded.head)


async def _check_picture(app: App, digest: Digest, mime_type: str, *, name: str) -> None:
    """Refuse a picture that is too large to process. Files of any other kind are accepted, as in ComfyUI."""
    limit = app.settings.limits.max_image_pixels
    if not mime_type.startswith("image/"):
        return

    def check(source: Path) -> None:
        from safelight.media.image_header import open_image
        from safelight.media.media_errors import UnreadableMedia, report_as

        try:
            with report_as(name, source), open_image(source, max_pixels=limit) as image:
                if max(image.size) > MAX_EDGE:
                    longest = max(image.size)
                    raise Invalid(f"{name!r} has an edge of {longest} pixels, which is too long (at most {MAX_EDGE})")
        except UnreadableMedia:
            return

    async with app.files.pinned(digest) as path:
        await asyncio.to_thread(check, path)


async def _masked(app: App, original: Asset, mask: Digest, *, mask_name: str) -> bytes:
    def compose(picture_source: Path, mask_source: Path) -> bytes:
        from safelight.media.image_header import open_image
        from safelight.media.media_errors import report_as

        with (
            report_as(original.name, picture_source),
            report_as(mask_name, mask_source),
            open_image(picture_source) as picture,
            open_image(mask_source) as alpha,
        ):
            if picture.size != alpha.size:
                raise Invalid(f"the mask has {alpha.size} pixels and the original {picture.size}")
            result = picture.convert("RGBA")
            result.putalpha(alpha.convert("RGBA").getchannel("A"))
        body = io.BytesIO()
        result.save(body, format="PNG", compress_level=4)
        return body.getvalue()

    async with app.files.pinned(original.digest) as picture_path, app.files.pinned(mask) as mask_path:
        return await asyncio.to_thread(compose, picture_path, mask_path)


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in ("true", "1")
