"""The progress of a call, as packs report it without a ``ProgressBar``."""

from typing import Any

from safelight.sdk.context import current


class ProgressRegistry:
    def start_progress(self, node_id: str) -> None:
        """Does nothing: the executor reports it."""

    def update_progress(self, node_id: str, value: float, max_value: float, image: Any = None) -> None:
        """Report progress of the running call, whatever ``node_id`` is."""
        picture = next((i for i in image if hasattr(i, "thumbnail")), None) if isinstance(image, tuple) else image
        current().progress(value, max_value, preview=picture)

    def finish_progress(self, node_id: str) -> None:
        """Does nothing: the executor reports it."""


_registry = ProgressRegistry()


def get_progress_state() -> ProgressRegistry:
    return _registry
