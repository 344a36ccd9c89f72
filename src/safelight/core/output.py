"""The outputs of a job, as its clients see them: by node, and the summary that lists show.

An output is a call's ``ui`` value: lists by key (``images``, ``text`` ...), whose files are objects with a
``filename``, a ``subfolder`` and a ``type``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from safelight.core.event import NodeCall

Output = tuple[NodeCall, Mapping[str, Any] | None]

_KINDS = {
    "image": "png jpg jpeg webp gif bmp tif tiff avif svg exr apng heic jxl",
    "video": "mp4 webm mov mkv avi m4v mpg mpeg ogv",
    "audio": "flac mp3 wav ogg opus m4a aac",
    "3d": "glb gltf obj fbx stl ply usdz spz splat ksplat",
}
_KIND_OF_EXTENSION = {f".{extension}": kind for kind, extensions in _KINDS.items() for extension in extensions.split()}
_KIND_OF_KEY = {"images": "image", "gifs": "image", "video": "video", "videos": "video", "audio": "audio", "3d": "3d"}

KINDS = tuple(_KINDS)
"""The kinds by which the contract filters jobs (``output_type``)."""


@dataclass(frozen=True, slots=True)
class OutputsSummary:
    """``count``: of files. ``preview``: the file that represents the job, with its ``nodeId`` and ``mediaType``."""

    count: int
    preview: Mapping[str, Any] | None
    kinds: frozenset[str]


def by_node(outputs: Iterable[Output]) -> dict[str, dict[str, Any]]:
    """Outputs by the node that the user sees. Those of an expanded node's calls are merged, in order."""
    latest = {call.id: (call, ui) for call, ui in outputs}
    merged: dict[str, dict[str, Any]] = {}
    for call, ui in latest.values():
        if ui is None:
            continue
        node = merged.setdefault(call.display_id, {})
        for key, value in ui.items():
            there = node.get(key)
            node[key] = [*there, *value] if isinstance(there, list) and isinstance(value, list | tuple) else value
    return merged


def meta_by_node(outputs: Iterable[Output]) -> dict[str, dict[str, Any]]:
    """The ``meta`` of a history entry: the call behind each output of :func:`by_node`."""
    meta: dict[str, dict[str, Any]] = {}
    for call, ui in outputs:
        if ui is not None:
            fields = {"node_id": call.id, "display_node": call.display_id, "parent_node": call.parent_id}
            meta.setdefault(call.display_id, fields | {"real_node_id": call.real_id})
    return meta


def summarise(outputs: Mapping[str, Mapping[str, Any]]) -> OutputsSummary:
    """Count the files of :func:`by_node` and choose the preview: the first saved file, else the first temporary one."""
    count = 0
    kinds: set[str] = set()
    saved: Mapping[str, Any] | None = None
    temporary: Mapping[str, Any] | None = None
    for node_id, ui in outputs.items():
        for key, items in ui.items():
            for item in _files(items):
                count += 1
                kind = _kind(key, item["filename"])
                if kind is None:
                    continue
                kinds.add(kind)
                preview = {**item, "nodeId": node_id, "mediaType": key}
                if item.get("type") == "output":
                    saved = saved or preview
                else:
                    temporary = temporary or preview
    return OutputsSummary(count, saved or temporary, frozenset(kinds))


def kind_of_file(filename: str) -> str | None:
    """One of :data:`KINDS` by the name's extension."""
    return _KIND_OF_EXTENSION.get(PurePosixPath(filename).suffix.lower())


def _files(items: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(items, list | tuple):
        return ()
    return [item for item in items if isinstance(item, Mapping) and isinstance(item.get("filename"), str)]


def _kind(key: str, filename: str) -> str | None:
    return kind_of_file(filename) or _KIND_OF_KEY.get(key)
