"""``/api/files/mask-layers``: the four files that the mask editor keeps for one picture, found by the name of any."""

import re
from dataclasses import replace
from typing import Any

from safelight.api.api_request import ApiRequest
from safelight.api.handler import reads
from safelight.core.asset import FileName, parse_file_name
from safelight.core.errors import InvalidName, NotFound
from safelight.core.user import Principal
from safelight.db.transaction import Transaction
from safelight.services import asset_access, named_files

_LAYER = re.compile(r"(.*?)(painted-masked|painted|paint|mask)(-[0-9]+.*|[0-9]*\.[a-z]+)")
"""The editor's names: ``clipspace-painted-masked-1700000000000.png``."""
_SUBFOLDERS = ("clipspace", "")


@reads
def get_mask_layers(tx: Transaction, request: ApiRequest) -> Any:
    who, text = request.who, request.params["filename"]
    try:
        requested = parse_file_name(text)
    except InvalidName as error:
        raise NotFound(error.message) from None
    file = _find(tx, who, requested, text)
    match = _LAYER.fullmatch(file.filename)
    if match is None:
        raise NotFound(f"{text!r} is not a file of the mask editor")
    names = {layer: f"{match[1]}{layer}{match[3]}" for layer in ("mask", "paint", "painted", "painted-masked")}
    annotated = {layer: str(replace(file, filename=name)) for layer, name in names.items()}
    found = named_files.files_named(tx, who, names=annotated.values())
    return {layer.replace("-", "_"): names[layer] if annotated[layer] in found else None for layer in names}


def _find(tx: Transaction, who: Principal, requested: FileName, text: str) -> FileName:
    for subfolder in (requested.subfolder,) if requested.subfolder else _SUBFOLDERS:
        try:
            file = asset_access.by_file_name(
                tx, who, file=FileName(requested.folder, subfolder, requested.filename)
            ).file
        except NotFound:
            continue
        if file is not None:
            return file
    raise NotFound(f"there is no file {text!r}")
