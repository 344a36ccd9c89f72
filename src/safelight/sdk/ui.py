"""What output nodes show: objects with ``as_dict()``, in the forms that ComfyUI's clients read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from safelight.sdk.context import OutputFile


class SavedFiles:
    """Saved files under a key of the client's choice (``images``, ``audio``, ``3d`` ...)."""

    def __init__(self, key: str, files: Sequence[OutputFile], *, animated: bool | None = None) -> None:
        self._ui: dict[str, Any] = {key: [f.as_dict() for f in files]}
        if animated is not None:
            self._ui["animated"] = (animated,)

    def as_dict(self) -> dict[str, Any]:
        return self._ui


class Images(SavedFiles):
    def __init__(self, files: Sequence[OutputFile], *, animated: bool | None = None) -> None:
        super().__init__("images", files, animated=animated)


class Text:
    """Text below the node."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    def as_dict(self) -> dict[str, Any]:
        return {"text": list(self._texts)}
