"""``/api/vhs/queryvideo``: facts about a video that the nodes of the Video Helper Suite read before they run."""

import asyncio

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.blobs.store import BlobMissing
from safelight.core.asset import Asset, Folder, parse_file_name
from safelight.core.errors import Invalid, NotFound
from safelight.db.engine import Transaction
from safelight.services import asset_access


async def get_vhs_query_video(app: App, request: ApiRequest) -> Response:
    """The name may be annotated (``a.mp4 [output]``); a bare name is looked for among the inputs first."""
    who, name = request.who, request.params["filename"]

    def find(tx: Transaction) -> Asset:
        for folder in Folder:
            try:
                return asset_access.by_file_name(tx, who, file=parse_file_name(name, default=folder))
            except NotFound:
                continue
        raise Invalid(f"there is no file {name!r}")

    asset = await app.db.read(find)
    # Imported here: PyAV is loaded for the first query, not when the server starts.
    from safelight.media.media_errors import report_as
    from safelight.media.video_facts import read_video_facts

    try:
        async with app.files.pinned(asset.digest) as path:
            with report_as(name, path):
                facts = await asyncio.to_thread(read_video_facts, path)
    except BlobMissing:
        raise Invalid(f"the bytes of {name!r} are missing") from None
    source = {
        "size": [facts.width, facts.height],
        "fps": facts.fps,
        "frames": facts.frames,
        "duration": facts.duration_s,
    }
    return json_response({"source": source})
