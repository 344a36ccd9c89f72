"""The progress of a run, as packs report it without a ``ProgressBar``."""

from typing import Any

from safelight.sdk.context import current


class ProgressRegistry:
    def start_progress(self, node_id: str) -> None:
        """The executor says so itself."""

    def update_progress(self, node_id: str, value: float, max_value: float, image: Any = None) -> None:
        """Of the call that is running, whichever ``node_id`` is named."""
        picture = next((i for i in image if hasattr(i, "thumbnail")), None) if isinstance(image, tuple) else image
        current().progress(value, max_value, preview=picture)

    def finish_progress(self, node_id: str) -> None:
        """The executor says so itself."""


_registry = ProgressRegistry()


def get_progress_state() -> ProgressRegistry:
    return _registry
