"""``/api/view``: a file by ComfyUI's name for it, as it is or rendered."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.blob_response import blob_response
from safelight.api.byte_headers import byte_headers
from safelight.api.responses import has_current
from safelight.core.asset import FileName, Folder, clean_filename, clean_subfolder, parse_file_name
from safelight.core.errors import InvalidName
from safelight.services import asset_access

if TYPE_CHECKING:
    from safelight.media.image_header import Source
    from safelight.media.thumbnail import Rendered

_RASTER = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff", "image/avif")


async def view_file(app: App, request: ApiRequest) -> Response:
    who, params = request.who, request.params
    file = _file_name(params["filename"], subfolder=params["subfolder"] or "", folder=params["type"] or "output")
    asset = await app.db.read(lambda tx: asset_access.by_file_name(tx, who, file=file))
    rendering = _Rendering.of(params["channel"], params["res"], request.http.query_params.get("preview"))
    if rendering is None or asset.mime_type not in _RASTER:
        return await blob_response(request.http, asset, app.blobs, presigning=app.presigning)
    etag = f'"{asset.digest[:32]}-{rendering}"'
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    if has_current(request.http, etag):
        return Response(status_code=304, headers=headers)
    rendered = await app.renderer.render(asset.digest, rendering.render, name=file.filename)
    return Response(rendered.body, headers=headers | byte_headers(file.filename, rendered.mime_type))


@dataclass(frozen=True, slots=True)
class _Rendering:
    """The rendering of a picture that a client requests. ``str()`` of it is different for different renderings."""

    channel: str
    side: int | None
    preview: str | None

    @classmethod
    def of(cls, channel: str | None, side: int | None, preview: str | None) -> "_Rendering | None":
        """``None`` where the client wants the file itself, as ``channel=rgba`` alone means."""
        known = {"rgb": "rgb", "a": "a", "alpha": "a"}.get(channel or "", "")
        if side is None and preview is None and not known:
            return None
        return cls(known or ("rgba" if channel == "rgba" else ""), side, preview)

    def __str__(self) -> str:
        preview = "" if self.preview is None else self.preview.encode().hex()[:64]
        return f"{self.channel}-{self.side or ''}-{preview}"

    def render(self, source: "Source") -> "Rendered":
        # Imported here: Pillow is loaded when the first picture is rendered, not when the server starts.
        from safelight.media.thumbnail import Channel, parse_preview, render_channel, render_preview, render_thumbnail

        if self.side is not None:
            return render_thumbnail(source, side=self.side)
        channel = Channel(self.channel) if self.channel else Channel.RGBA
        if self.preview is None:
            return render_channel(source, channel=channel)
        format, quality = parse_preview(self.preview, channel=self.channel)
        return render_preview(source, format=format, quality=quality, channel=channel)


def _file_name(filename: str, *, subfolder: str, folder: str) -> FileName:
    """``filename`` may be annotated (``a.png [input]``); its folder part is ignored, as in ComfyUI."""
    if filename.startswith(("/", "\\")) or ".." in filename.replace("\\", "/").split("/"):
        raise InvalidName(f"{filename!r} is not a file name")
    if folder not in {f.value for f in Folder}:
        raise InvalidName(f"{folder!r} is not a type of file; valid are input, output and temp")
    named = parse_file_name(filename, default=Folder(folder))
    return FileName(named.folder, clean_subfolder(subfolder), clean_filename(named.filename))
