"""``/api/files/mask-layers``: the four files that the mask editor keeps of one picture, found by any of them."""

import re
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.core.asset import FileName, parse_file_name
from safelight.core.errors import InvalidName, NotFound
from safelight.db.engine import Transaction
from safelight.services import asset as assets

_LAYER = re.compile(r"(.*?)(painted-masked|painted|paint|mask)(-[0-9]+.*|[0-9]*\.[a-z]+)")
"""The editor's names: ``clipspace-painted-masked-1700000000000.png``."""
_PLACES = ("clipspace", "")


async def get_mask_layers(app: App, request: ApiRequest) -> Response:
    who, text = request.who, request.params["filename"]
    try:
        asked = parse_file_name(text)
    except InvalidName as error:
        raise NotFound(error.message) from None

    def find(tx: Transaction) -> dict[str, Any]:
        file = _file_of(tx, asked)
        match = _LAYER.fullmatch(file.filename)
        if match is None:
            raise NotFound(f"{text!r} is no file of the mask editor")
        names = {layer: f"{match[1]}{layer}{match[3]}" for layer in ("mask", "paint", "painted", "painted-masked")}
        annotated = {layer: str(replace(file, filename=name)) for layer, name in names.items()}
        found = assets.files_named(tx, who, names=annotated.values())
        return {layer.replace("-", "_"): names[layer] if annotated[layer] in found else None for layer in names}

    def _file_of(tx: Transaction, asked: FileName) -> FileName:
        for place in (asked.subfolder,) if asked.subfolder else _PLACES:
            try:
                file = assets.find_file(tx, who, file=FileName(asked.folder, place, asked.filename)).file
            except NotFound:
                continue
            if file is not None:
                return file
        raise NotFound(f"there is no file {text!r}")

    return json_response(await app.db.read(find))
