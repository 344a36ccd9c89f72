"""Which model files ComfyUI has loaded, so that the server can send jobs where their models are.

ComfyUI keeps the results of the latest prompt, and with them its models: the model files which that prompt named are
loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from .surfaces import Surfaces


class WarmModels:
    """Mutable: the names of the model files of the latest prompt."""

    def __init__(self, surfaces: Surfaces) -> None:
        self._folder_paths = surfaces.folder_paths
        self.names: list[str] = []

    def used(self, texts: Iterable[str]) -> None:
        """``texts``: the inputs of the nodes whose results are kept, model files or not."""
        self.names = sorted(text for text in texts if self._is_model(text))

    def clear(self) -> None:
        self.names = []

    def _is_model(self, text: str) -> bool:
        extension = os.path.splitext(text)[1].lower()
        if not extension:
            return False
        for folder, (_, extensions) in list(self._folder_paths.folder_names_and_paths.items()):
            if extension in extensions and self._folder_paths.get_full_path(folder, text) is not None:
                return True
        return False
