"""ComfyUI's core as far as packs can use it without diffusion models; the rest is absent (``shims/absent.py``)."""

from safelight.shims.absent import submodules
from safelight.worker.context import worker_context

__file__ = str(worker_context().workspace.root / "comfy" / "__init__.py")  # packs look beside it for ComfyUI's folders

# Packs use ``comfy.utils`` after a mere ``import comfy``, as ComfyUI itself has imported it by then.
__getattr__ = submodules("comfy")
