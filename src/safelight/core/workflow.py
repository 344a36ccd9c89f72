"""A saved workflow: the document of the web UI under a name, in versions that never change.

It knows nothing of what a graph means; it only finds the texts in it that may name assets.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from safelight.core.digest import Digest
from safelight.core.errors import Invalid
from safelight.core.ids import AssetId, UserId, VersionId, WorkflowId

MAX_NAME_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 10_000
MAX_TEXTS = 100_000
"""Texts of a graph that are looked at for names of files."""
MAX_NAMED_FILES = 2000
"""Largest number of different texts of a graph that are looked up; no graph made by a person comes near it."""


class DefaultView(StrEnum):
    WORKFLOW = "workflow"
    APP = "app"


class WorkflowSort(StrEnum):
    """The contract's values."""

    CREATED = "create_time"
    UPDATED = "update_time"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of a fork. It stays unchanged when the source is deleted."""

    workflow_id: WorkflowId
    version_id: VersionId | None


@dataclass(frozen=True, slots=True)
class Workflow:
    """Versions are numbered from 1 without gaps; ``latest_version`` is the one that is shown."""

    id: WorkflowId
    owner_id: UserId
    latest_version: int
    created_at: datetime
    updated_at: datetime
    name: str | None = None
    description: str | None = None
    default_view: DefaultView = DefaultView.WORKFLOW
    forked_from: Origin | None = None


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    id: VersionId
    version: int
    created_at: datetime
    content: Mapping[str, Any]
    dependencies: tuple[AssetId, ...] = ()
    """Assets of the owner that the graph names."""


@dataclass(frozen=True, slots=True)
class NamedAssets:
    """The texts of a graph that may name an asset: as a file, by its digest, by its id."""

    files: frozenset[str]
    digests: frozenset[Digest]
    ids: frozenset[AssetId]


_FILE = re.compile(r".*\.[A-Za-z0-9]{1,12}( \[(input|output|temp)\])?", re.DOTALL)
_DIGEST = re.compile(r"(?:blake3:)?([0-9a-f]{64})(?:\.[A-Za-z0-9]{1,12})?")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def assets_named_in(content: Mapping[str, Any]) -> NamedAssets:
    files: dict[str, None] = {}
    digests: dict[Digest, None] = {}
    ids: dict[AssetId, None] = {}
    for text in islice(texts_of(content), MAX_TEXTS):
        if len(files) + len(digests) + len(ids) >= MAX_NAMED_FILES:
            break
        if match := _DIGEST.fullmatch(text):
            digests[Digest(match[1])] = None
        if _ID.fullmatch(text):
            ids[AssetId(text)] = None
        elif len(text) <= 4096 and _FILE.fullmatch(text):
            files[text] = None
    return NamedAssets(frozenset(files), frozenset(digests), frozenset(ids))


def texts_of(value: Any) -> Iterator[str]:
    """Every string value in plain data, at any depth; keys are not included."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)


def clean_name(name: str) -> str:
    """A display name; any script, no control characters. Raises :class:`Invalid`."""
    if len(name) > MAX_NAME_LENGTH:
        raise Invalid(f"a name of {len(name)} characters is too long (at most {MAX_NAME_LENGTH})")
    if any(character < " " or character == "\x7f" for character in name):
        raise Invalid(f"invalid name {name!r}: remove the control characters")
    return name


def name_of_file(path: str) -> str:
    """The name of the workflow in a userdata file."""
    return path.rpartition("/")[2].removesuffix(".json")[:MAX_NAME_LENGTH]


def clean_description(text: str) -> str:
    """Any text without NUL. Raises :class:`Invalid`."""
    if len(text) > MAX_DESCRIPTION_LENGTH:
        raise Invalid(f"a description of {len(text)} characters is too long (at most {MAX_DESCRIPTION_LENGTH})")
    if "\x00" in text:
        raise Invalid("the description contains a NUL character")
    return text
