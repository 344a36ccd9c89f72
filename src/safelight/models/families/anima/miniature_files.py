"""Miniature weights of Anima and its LLLite controls."""

from safelight.models.families.anima.model_patch import LiteControl, LiteShape
from safelight.models.families.anima.network import Anima, AnimaShape
from safelight.models.families.anima.text_adapter import AdapterShape
from safelight.models.families.qwen_image.miniature_files import VAE
from safelight.models.language.architecture import QWEN3
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import WIDTH, Lora, decoder
from safelight.models.weights import Weights

SHAPE = AnimaShape(
    channels=16,
    width=256,
    text_width=WIDTH,
    heads=2,
    inner=512,
    low_rank=32,
    layers=2,
    adapter=AdapterShape(vocabulary=32128, source=WIDTH, width=WIDTH, out=WIDTH, heads=4, inner=512, layers=2),
)


def _network(name: str) -> MiniatureFile:
    return MiniatureFile("diffusion_models", f"{name}.safetensors", lambda: Anima(SHAPE))


def _control(name: str, channels: int) -> MiniatureFile:
    layers = {f"blocks_{n}_{part}": (SHAPE.width, 32) for n in range(2) for part in ("self_attn_q_proj", "mlp_layer1")}
    shape = LiteShape(channels, 32, 32, 1, (1, 2, 4, 8), layers)
    build = LiteControl(Weights({}), shape, hides_painted=False).build
    return MiniatureFile("model_patches", f"{name}.safetensors", build)


_TEXT = MiniatureFile("text_encoders", "qwen_3_06b_base.safetensors", lambda: decoder(QWEN3))
_TURBO = MiniatureFile("loras", "anima-turbo-lora-v0.2.safetensors", lambda: Lora(Anima(SHAPE), below="blocks."))

MINIATURES = (
    Miniature("anima", (_network("anima-base-v1.0"), _network("anima-preview3-base"), _TEXT, VAE, _TURBO)),
    Miniature(
        "anima-lllite",
        (
            _control("anima-lllite-any-test-like-v2", 3),
            _control("anima-lllite-depth-1", 3),
            _control("anima-lllite-inpainting-v2", 4),
        ),
    ),
)
