"""References to assets inside a graph, ``{"__type": "core/ASSET", "info": {"id": ...}}``, and the names for them.

A client may put a reference wherever a node takes the name of a file. The id alone decides which asset is meant; other
members of ``info`` are for people.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from safelight.core.asset import Asset
from safelight.core.errors import Unprocessable
from safelight.core.ids import AssetId
from safelight.core.workflow import MAX_NAMED_FILES

TYPE = "core/ASSET"


class MissingAsset(Unprocessable):
    """``missing``: the ids that name no asset of the caller's, as they were sent."""

    code = "missing_asset"

    def __init__(self, message: str, *, missing: Collection[str] = ()) -> None:
        super().__init__(message)
        self.missing = list(missing)

    @property
    def details(self) -> Mapping[str, Any]:
        return {"missing_ids": self.missing}


@dataclass(frozen=True, slots=True)
class Resolved:
    """``prompt``: with names in the places of references; ``assets``: those that it refers to."""

    prompt: Any
    assets: Collection[AssetId]


def asset_ids_in(graph: Any) -> set[AssetId]:
    """The ids of all references in a graph. Raises :class:`MissingAsset` for a malformed reference, and for more than
    :data:`~safelight.core.workflow.MAX_NAMED_FILES` different ones."""
    ids: set[AssetId] = set()
    waiting = [graph]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("__type") == TYPE:
                ids.add(_id_of(value))
            else:
                waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    if len(ids) > MAX_NAMED_FILES:
        raise MissingAsset(f"the graph refers to {len(ids)} assets, and at most {MAX_NAMED_FILES} are allowed")
    return ids


def resolve(graph: Any, found: Mapping[AssetId, Asset]) -> Resolved:
    """Replace every reference by the name of its asset. Raises :class:`MissingAsset` for those that are not in
    ``found``."""
    wanted = asset_ids_in(graph)
    missing = sorted(wanted - found.keys())
    if missing:
        raise MissingAsset(f"there is no asset {missing[0][:80]!r}", missing=[m[:80] for m in missing[:100]])
    return Resolved(_replaced(graph, found), wanted)


def name_in_prompt(asset: Asset) -> str:
    """The text by which a node finds the asset: the name of a file, of a model, or of a file by its digest."""
    if asset.loader_path is not None:
        return asset.loader_path
    if asset.file is None:
        return f"{asset.digest}{PurePosixPath(asset.name).suffix}"
    file = asset.file
    path = f"{file.subfolder}/{file.filename}" if file.subfolder else file.filename
    return path if file.folder == "input" else f"{path} [{file.folder.value}]"


def _replaced(value: Any, found: Mapping[AssetId, Asset]) -> Any:
    if isinstance(value, dict):
        if value.get("__type") == TYPE:
            return name_in_prompt(found[_id_of(value)])
        return {key: _replaced(item, found) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, found) for item in value]
    return value


def _id_of(reference: Mapping[str, Any]) -> AssetId:
    info = reference.get("info")
    asset_id = info.get("id") if isinstance(info, Mapping) else None
    if not isinstance(asset_id, str) or not asset_id:
        raise MissingAsset("invalid core/ASSET reference: it has no info.id")
    return AssetId(asset_id.lower())
