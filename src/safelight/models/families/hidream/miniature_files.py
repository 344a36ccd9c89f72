"""Miniature weights of HiDream I1 and E1."""

from safelight.models.families.hidream.experts import ExpertsShape
from safelight.models.families.hidream.hidream_module import HiDream, HiDreamShape
from safelight.models.language.architecture import LLAMA3
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import AE, T5, WIDTH, bytes_tokenizer, clip_g, clip_l, decoder

LONG_CLIP = 248
"""Positions of CLIP in the files that belong to HiDream."""
NETWORK = HiDreamShape(
    ExpertsShape(256, count=4, inner=256, shared=256),
    channels=16,
    pooled=2048,
    context=WIDTH,
    language=WIDTH,
    text_inner=256,
    double_blocks=2,
    single_blocks=2,
)


def _network(name: str, format: str) -> MiniatureFile:
    return MiniatureFile("diffusion_models", name, lambda: HiDream(NETWORK), format=format)


_BESIDE = (
    MiniatureFile("text_encoders", "clip_l_hidream.safetensors", lambda: clip_l(length=LONG_CLIP)),
    MiniatureFile("text_encoders", "clip_g_hidream.safetensors", lambda: clip_g(length=LONG_CLIP)),
    MiniatureFile(
        "text_encoders",
        "llama_3.1_8b_instruct_fp8_scaled.safetensors",
        lambda: decoder(LLAMA3, vocabulary=128256),
        format="fp8_scaled",
        tokenizer=bytes_tokenizer,
    ),
    *T5,
    AE,
)

MINIATURES = (
    Miniature(
        "hidream-i1",
        (*(_network(f"hidream_i1_{kind}_fp8.safetensors", "fp8_e4m3fn") for kind in ("full", "dev", "fast")), *_BESIDE),
    ),
    Miniature(
        "hidream-e1",
        (*(_network(f"hidream_e1_{kind}_bf16.safetensors", "bf16") for kind in ("full", "1")), *_BESIDE),
    ),
)
