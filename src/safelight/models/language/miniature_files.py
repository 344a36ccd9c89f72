"""Miniature weights of language models that are loaded only to write."""

from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import QWEN_SPECIAL, bytes_tokenizer, qwen3_vl, qwen35


def qwen35_file(name: str, format: str) -> MiniatureFile:
    """Qwen3.5, with a small vocabulary beside it."""
    return MiniatureFile("text_encoders", name, qwen35, format=format, tokenizer=lambda: bytes_tokenizer(*QWEN_SPECIAL))


MINIATURES = (
    Miniature("qwen3.5", (qwen35_file("qwen3.5_4b_bf16.safetensors", "bf16"),)),
    Miniature(
        "qwen3vl", (MiniatureFile("text_encoders", "qwen3vl_4b_fp8_scaled.safetensors", qwen3_vl, format="fp8_scaled"),)
    ),
)
