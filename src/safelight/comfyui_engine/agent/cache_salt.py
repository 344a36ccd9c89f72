"""Keeps ComfyUI's caches from answering one user with what another's job computed.

ComfyUI looks a result up by the class of its node, its inputs, and the value of the node's ``IS_CHANGED``. A node
without ``IS_CHANGED`` that reads a file by its name therefore answers the next job that names such a file, whosever it
is. So that value gets a *salt*: the owner of the job, and the digests of the owner's files that the inputs name. The
prompt itself, which is saved in pictures, is not changed.

Without a salt remain loaders of public models: a node without links whose only texts are choices of its own lists, and
that returns nothing but models. Two users of one checkpoint load it once.

Objects of node classes are kept by the node's id, so that a node of the next user could read what the last one left in
``self``: their keys get the owner too.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .surfaces import Surfaces

MODEL_TYPES = frozenset(
    {"MODEL", "CLIP", "VAE", "CLIP_VISION", "CONTROL_NET", "STYLE_MODEL", "GLIGEN", "UPSCALE_MODEL", "PHOTOMAKER"}
    | {"AUDIO_ENCODER", "AUDIO_VAE", "LATENT_UPSCALE_MODEL", "MODEL_PATCH", "CLIP_VISION_MODEL", "BACKGROUND_REMOVAL"}
)
"""Types of links that carry weights of public files and nothing of a user."""
_OF_THE_CALLER = frozenset({"PROMPT", "EXTRA_PNGINFO", "DYNPROMPT", "UNIQUE_ID"})


@dataclass(frozen=True)
class JobSalt:
    """``digests``: of the owner's files, by the texts of the prompt that name them. ``generations``: by node, how often
    files that its cached results name were found to be gone."""

    owner_id: str
    digests: Mapping[str, str] = field(default_factory=dict)
    generations: Mapping[str, int] = field(default_factory=dict)


class CacheSalt:
    """Mutable: the job whose salt is used."""

    def __init__(self, surfaces: Surfaces) -> None:
        self._surfaces = surfaces
        self._job = JobSalt("")
        self._previous_owner: str | None = None
        self.is_complete = self._salt_results() and self._salt_objects()
        """False: this ComfyUI's caches cannot be salted, and must be emptied when the owner changes."""
        if not self.is_complete:
            surfaces.lacks.append("its caches have another form, so they are emptied when the user changes")

    def begin(self, job: JobSalt) -> bool:
        """Use the salt of a job that is about to run. Return whether the caches must be emptied first."""
        changed = self._previous_owner not in (None, job.owner_id)
        self._job, self._previous_owner = job, job.owner_id
        return changed and not self.is_complete

    def of(self, dynprompt: Any, node_id: str) -> tuple[Any, ...] | None:
        """The salt of a node; ``None`` for a loader that all users share."""
        node = dynprompt.get_node(node_id)
        if self._is_shared(node):
            return None
        named = sorted({text for text in texts_in(node.get("inputs", {})) if text in self._job.digests})
        digests = tuple((text, self._job.digests[text]) for text in named)
        return "owner", self._job.owner_id, digests, self._job.generations.get(node_id, 0)

    def _is_shared(self, node: Mapping[str, Any]) -> bool:
        node_class = self._surfaces.nodes.NODE_CLASS_MAPPINGS.get(node.get("class_type"))
        returns = getattr(node_class, "RETURN_TYPES", ())
        if not returns or not all(isinstance(kind, str) and kind in MODEL_TYPES for kind in returns):
            return False
        declared = node_class.INPUT_TYPES()
        if _OF_THE_CALLER & set(map(str, (declared.get("hidden") or {}).values())):
            return False
        kinds = {**(declared.get("required") or {}), **(declared.get("optional") or {})}
        return all(_is_public(value, kinds.get(name)) for name, value in node.get("inputs", {}).items())

    def _salt_results(self) -> bool:
        keys: Any = getattr(self._surfaces.execution, "IsChangedCache", None)
        original = getattr(keys, "get", None)
        if original is None or not inspect.iscoroutinefunction(original):
            return False

        async def get(cache: Any, node_id: str) -> Any:
            value = await original(cache, node_id)
            salt = self.of(cache.dynprompt, node_id)
            return value if salt is None else [value, salt]

        keys.get = get
        return True

    def _salt_objects(self) -> bool:
        keys: Any = getattr(self._surfaces.caching, "CacheKeySetID", None)
        original = getattr(keys, "add_keys", None)
        if original is None or not inspect.iscoroutinefunction(original):
            return False

        async def add_keys(key_set: Any, node_ids: Any) -> None:
            known = set(key_set.keys)
            await original(key_set, node_ids)
            for node_id in set(key_set.keys) - known:
                for table in (key_set.keys, key_set.subcache_keys):
                    table[node_id] = (table[node_id], self._job.owner_id)

        keys.add_keys = add_keys
        return True


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in the inputs of a node, at any depth of lists and maps."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts_in(item)


def _is_public(value: Any, declared: Any) -> bool:
    """Whether an input holds a number, or a choice of its node's own list."""
    if isinstance(value, (bool, int, float)):
        return True
    kind = declared[0] if isinstance(declared, (list, tuple)) and declared else None
    if not isinstance(value, str) or not (isinstance(kind, (list, tuple)) or kind == "COMBO"):
        return False
    options = declared[1] if len(declared) > 1 and isinstance(declared[1], Mapping) else {}
    return not any(name.endswith("_upload") for name in options)
