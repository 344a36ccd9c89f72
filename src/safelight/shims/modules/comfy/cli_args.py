"""ComfyUI's command line options, as packs read them: options that this server does not have are off."""

import enum
from types import SimpleNamespace
from typing import Any


class LatentPreviewMethod(enum.Enum):
    NoPreviews = "none"
    Auto = "auto"
    Latent2RGB = "latent2rgb"
    TAESD = "taesd"


class PerformanceFeature(enum.Enum):
    Fp16Accumulation = "fp16_accumulation"
    Fp8MatrixMultiplication = "fp8_matrix_mult"
    CublasOps = "cublas_ops"
    AutoTune = "autotune"


class Arguments(SimpleNamespace):
    """Mutable: packs set some options. Unknown options are ``None``."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


args = Arguments(
    listen="127.0.0.1",
    port=8188,
    preview_method=LatentPreviewMethod.NoPreviews,
    preview_size=512,
    cache_lru=0,
    fast=set(),
    multi_user=True,
    disable_metadata=False,
    disable_all_custom_nodes=False,
    whitelist_custom_nodes=[],
    verbose="INFO",
    cpu=False,
    deterministic=False,
)
