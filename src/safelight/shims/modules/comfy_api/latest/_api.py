"""The base class of extensions, and the API for running nodes."""

from typing import Any

from safelight.sdk.context import current


class ComfyExtension:
    """What ``comfy_entrypoint()`` returns."""

    async def on_load(self) -> None:
        """Called once, before :meth:`get_node_list`."""

    async def get_node_list(self) -> list[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define get_node_list")


class _Execution:
    async def set_progress(
        self, value: float, max_value: float, node_id: str | None = None, preview_image: Any = None, **_: Any
    ) -> None:
        _progress(value, max_value, preview_image)


class _ExecutionSync:
    def set_progress(
        self, value: float, max_value: float, node_id: str | None = None, preview_image: Any = None, **_: Any
    ) -> None:
        _progress(value, max_value, preview_image)


class _Caching:
    """Cache providers are accepted and never used: the engine caches results itself."""

    async def register_provider(self, provider: Any) -> None:
        """Does nothing."""

    async def unregister_provider(self, provider: Any) -> None:
        """Does nothing."""


class ComfyAPI:
    """``await ComfyAPI().execution.set_progress(3, 10)`` reports progress of the running call."""

    Execution = _Execution
    VERSION = "latest"
    STABLE = False

    def __init__(self) -> None:
        self.execution = _Execution()
        self.caching = _Caching()


class ComfyAPISync:
    """The same without ``await``."""

    Execution = _ExecutionSync

    def __init__(self) -> None:
        self.execution = _ExecutionSync()


def _progress(value: float, total: float, preview: Any) -> None:
    """``preview``: a PIL image, or a tensor ``[H, W, C]`` or ``[B, H, W, C]`` in 0..1."""
    if preview is not None and hasattr(preview, "ndim"):
        from safelight.nodes.image.resampling import to_pil

        preview = to_pil(preview[0] if preview.ndim == 4 else preview)
    current().progress(value, total, preview=preview)
