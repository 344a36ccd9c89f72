"""The part of ComfyUI's core that packs can use without its diffusion models; the rest is absent
(``shims/absent.py``)."""

from safelight.shims.absent import submodules
from safelight.worker.context import worker_context

__file__ = str(worker_context().workspace.root / "comfy" / "__init__.py")  # packs look beside it for ComfyUI's folders

# Packs use ``comfy.utils`` after only ``import comfy``, as ComfyUI has already imported it by then.
__getattr__ = submodules("comfy")
