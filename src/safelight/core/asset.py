"""An asset: a named, owned, tagged reference to a blob. Names are rows, never paths."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from safelight.core.digest import Digest
from safelight.core.errors import Invalid, InvalidName, ReservedTag
from safelight.core.ids import AssetId, JobId, UserId
from safelight.core.metadata_field import FieldFilter

MAX_NAME_BYTES = 255
MAX_TAG_LENGTH = 255
MAX_ASSET_NAME = 512
MAX_TAGS = 100
MISSING = "missing"
"""Marks a file that a scan no longer finds on disk."""
RESERVED_TAGS = frozenset({MISSING})
"""Tags that only the server sets and removes."""
PUBLIC_OWNER = UserId("public")
"""The owner of the assets that all users see and none can change: the files of the server's model folders. Nobody can
sign in as this user."""


def readable_owners(owner_id: UserId, *, include_public: bool) -> Sequence[UserId]:
    """The owners whose assets a user may read, in the order in which they are searched."""
    return [owner_id, PUBLIC_OWNER] if include_public else [owner_id]


class Folder(StrEnum):
    """ComfyUI's three places for files; the ``type`` of an upload, an output and ``/api/view``."""

    INPUT = "input"
    OUTPUT = "output"
    TEMP = "temp"


@dataclass(frozen=True, slots=True)
class FileName:
    """Where ComfyUI's clients find a file. Unique per owner; ``subfolder`` is ``""`` or ``a/b``."""

    folder: Folder
    subfolder: str
    filename: str

    def __str__(self) -> str:
        path = f"{self.subfolder}/{self.filename}" if self.subfolder else self.filename
        return f"{path} [{self.folder}]"


@dataclass(frozen=True, slots=True)
class Asset:
    id: AssetId
    owner_id: UserId
    name: str
    digest: Digest
    size: int
    mime_type: str
    created_at: datetime
    updated_at: datetime
    file: FileName | None = None
    job_id: JobId | None = None
    tags: tuple[str, ...] = ()
    user_metadata: Mapping[str, Any] = field(default_factory=dict)
    source_metadata: Mapping[str, Any] = field(default_factory=dict)
    last_access_at: datetime | None = None
    preview_id: AssetId | None = None
    loader_path: str | None = None
    expires_at: datetime | None = None
    """When the server deletes it; ``None``: never."""

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class AssetSort(StrEnum):
    NAME = "name"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    SIZE = "size"
    LAST_ACCESS_TIME = "last_access_time"


@dataclass(frozen=True, slots=True)
class AssetFilter:
    """The filter of a list. ``fields``: a filter for each key of metadata (``core/metadata_field.py``)."""

    include_tags: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    any_tags: tuple[str, ...] = ()
    name_contains: str = ""
    fields: tuple[FieldFilter, ...] = ()
    digest: Digest | None = None
    include_public: bool = True


@dataclass(frozen=True, slots=True)
class AssetCursor:
    """Where a page begins: after this asset, in the order of ``sort``."""

    sort: AssetSort
    descending: bool
    key: str | int
    seq: int


@dataclass(frozen=True, slots=True)
class AssetPage:
    """``total``: the number of matches; counting stops somewhere above the page (ASSET-3)."""

    assets: Sequence[Asset]
    total: int
    has_more: bool
    next: AssetCursor | None


@dataclass(frozen=True, slots=True)
class TagCount:
    name: str
    count: int


def check_asset_name(name: str) -> None:
    """Raises :class:`InvalidName`."""
    if not name.strip() or len(name) > MAX_ASSET_NAME or "\0" in name:
        raise InvalidName(f"the name of an asset must have 1 to {MAX_ASSET_NAME} characters")


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags without duplicates, in their order. Raises :class:`Invalid` for an invalid tag, and
    :class:`ReservedTag`."""
    cleaned: dict[str, None] = {}
    for tag in map(str.strip, tags):
        if not tag or len(tag) > MAX_TAG_LENGTH or not tag.isprintable() or "," in tag:
            raise Invalid(f"{tag[:80]!r} is not a tag (1 to {MAX_TAG_LENGTH} printable characters without a comma)")
        if tag in RESERVED_TAGS:
            raise ReservedTag(f"the tag {tag!r} is reserved")
        cleaned[tag] = None
        if len(cleaned) > MAX_TAGS:
            raise Invalid(f"too many tags (at most {MAX_TAGS})")
    return tuple(cleaned)


def parse_file_name(text: str, *, default: Folder = Folder.INPUT) -> FileName:
    """Read ComfyUI's annotated name, such as ``sub/a.png [output]``.

    Raises :class:`InvalidName` for an empty name and for one that would leave its folder.
    """
    folder = default
    for candidate in Folder:
        suffix = f" [{candidate.value}]"
        if text.endswith(suffix):
            folder, text = candidate, text[: -len(suffix)]
            break
    subfolder, _, filename = text.replace("\\", "/").rpartition("/")
    return FileName(folder, clean_subfolder(subfolder), clean_filename(filename))


def parse_prefix(prefix: str) -> tuple[str, str]:
    """The subfolder and the name of a prefix of saved files. Raises :class:`InvalidName`."""
    path = prefix.replace("\\", "/").rstrip("/")
    subfolder, _, name = path.rpartition("/")
    if prefix.startswith(("/", "\\")):
        raise InvalidName(f"{prefix!r} is not a relative folder")
    return clean_subfolder(subfolder), clean_filename(name)


def clean_filename(name: str) -> str:
    """A single path segment from a user. Raises :class:`InvalidName`."""
    if not name or name in (".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise InvalidName(f"{name!r} is not a file name")
    if len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise InvalidName(f"a file name of {len(name)} characters is too long (at most {MAX_NAME_BYTES} bytes)")
    return name


def clean_subfolder(path: str) -> str:
    """``a/b`` without empty and dot segments. Raises :class:`InvalidName` for a path that leads outside."""
    if path.startswith(("/", "\\")) or ":" in path.split("/")[0]:
        raise InvalidName(f"{path!r} is not a relative folder")
    segments = [s for s in path.replace("\\", "/").split("/") if s not in ("", ".")]
    if len(segments) > 32:
        raise InvalidName(f"{path!r} has more than 32 folders")
    return "/".join(clean_filename(s) for s in segments)
