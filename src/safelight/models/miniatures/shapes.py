"""Small shapes of the text encoders and autoencoders that families share. Vocabularies are whole, because tokens index
them; everything else is small.
"""

import lzma
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.resources import files

import torch
from torch import nn

from safelight.models.autoencoder.autoencoder_module import Autoencoder, AutoencoderShape
from safelight.models.language.architecture import (
    QWEN3_VL,
    QWEN35,
    DecoderShape,
    LanguageArchitecture,
    RecurrentShape,
)
from safelight.models.language.decoder import Decoder
from safelight.models.language.picture_recipe import PictureDecoder
from safelight.models.miniatures.file import MiniatureFile
from safelight.models.text.encoder_module import ClipText, TextShape
from safelight.models.text.t5 import T5Encoder, T5Shape
from safelight.models.vision_tower.qwen3 import Qwen3Vision, Qwen3VisionShape

WIDTH = 256
"""Features of a token in text encoders: a multiple of the blocks of every quantisation."""
QWEN_VOCABULARY = 151936


def decoder(architecture: LanguageArchitecture, *, vocabulary: int = QWEN_VOCABULARY, layers: int = 3) -> Decoder:
    """A language model. Its other parts (biases, norms of heads) are those of the architecture's name."""
    name = architecture.name
    head_width = architecture.head_width
    return Decoder(
        DecoderShape(
            architecture=architecture,
            vocabulary=vocabulary,
            width=WIDTH,
            feed_forward=2 * WIDTH,
            layers=layers,
            heads=2,
            key_heads=1,
            head_width=head_width,
            has_bias=name.startswith("Qwen2.5"),
            norms_heads=name.startswith(("Qwen3", "Gemma 3")),
            norms_outputs=name.startswith("Gemma"),
        )
    )


QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|image_pad|>", "<|vision_end|>")


def qwen3_vl(*, layers: int = 3, width: int = WIDTH, deep: int = 3) -> PictureDecoder:
    """Qwen3-VL with its image encoder."""
    shape = decoder(QWEN3_VL, layers=layers).shape
    return PictureDecoder(replace(shape, width=width, feed_forward=2 * width), _qwen3_vision(width, deep))


def qwen35() -> PictureDecoder:
    """Qwen3.5, with a vocabulary of bytes and the special tokens."""
    shape = decoder(QWEN35, vocabulary=256 + len(QWEN_SPECIAL), layers=4).shape
    recurrent = RecurrentShape(frozenset({0, 1, 2}), key_heads=1, value_heads=2, width=128, kernel=4)
    return PictureDecoder(replace(shape, gates_heads=True, recurrent=recurrent), _qwen3_vision(WIDTH, 0))


def _qwen3_vision(out_width: int, deep: int) -> Qwen3Vision:
    return Qwen3Vision(Qwen3VisionShape(256, 512, 4, out_width, patch=16, grid=8, deep=deep))


def clip_l(*, length: int = 77) -> nn.Module:
    """CLIP L. Its width tells it from the others, so it is whole."""
    return ClipText(TextShape(49408, length, 768, 256, layers=2, projection=768), heads=12, activation="quick_gelu")


def clip_g(*, length: int = 77) -> nn.Module:
    """CLIP G, under transformers' names."""
    return ClipText(TextShape(49408, length, 1280, 256, layers=2, projection=1280), heads=20, activation="gelu")


def t5(*, has_own_biases: bool = False) -> nn.Module:
    """T5, or UMT5 with tables of biases in each layer."""
    vocabulary = 256384 if has_own_biases else 32128
    return T5Encoder(
        T5Shape(vocabulary, WIDTH, 4, WIDTH // 4, 2 * WIDTH, 2, is_gated=True, has_own_biases=has_own_biases)
    )


def bytes_tokenizer(*special: str) -> str:
    """A vocabulary of single bytes, and of special tokens after them, as the contents of a ``tokenizer.json``."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers  # slow to import

    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={symbol: rank for rank, symbol in enumerate(symbols)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    return str(made.to_str())


class Joined(nn.Module):
    """Several networks as one, each below a prefix of its own: a checkpoint."""

    def __init__(self, **parts: nn.Module) -> None:
        """``parts``: by prefix, with ``__`` for ``.``."""
        super().__init__()
        for prefix, part in parts.items():
            owner: nn.Module = self
            *path, last = prefix.split("__")
            for name in path:
                if name not in owner._modules:
                    owner.add_module(name, nn.Module())
                owner = owner.get_submodule(name)
            owner.add_module(last, part)


class Lora(nn.Module):
    """A LoRA of rank 2 for some linear layers of a network, under ComfyUI's names."""

    def __init__(self, network: nn.Module, *, below: str) -> None:
        """``below``: the prefix of the layers that it changes."""
        super().__init__()
        for name, part in network.named_modules():
            if isinstance(part, nn.Linear) and name.startswith(below):
                for letter, shape in (("A", (2, part.in_features)), ("B", (part.out_features, 2))):
                    owner: nn.Module = self
                    for step in f"diffusion_model.{name}.lora_{letter}".split("."):
                        if step not in owner._modules:
                            owner.add_module(step, nn.Module())
                        owner = owner.get_submodule(step)
                    owner.register_parameter("weight", nn.Parameter(torch.empty(shape)))


def lora(name: str, modules: Mapping[str, tuple[int, int]]) -> MiniatureFile:
    """A LoRA of rank 4. ``modules``: what it changes, with the rows and columns of each weight."""

    def factor(rows: int, columns: int, seed: int) -> Callable[[], torch.Tensor]:
        return lambda: torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 0.05

    more: dict[str, Callable[[], torch.Tensor]] = {}
    for seed, (module, (rows, columns)) in enumerate(modules.items()):
        more[f"{module}.lora_down.weight"] = factor(4, columns, 2 * seed)
        more[f"{module}.lora_up.weight"] = factor(rows, 4, 2 * seed + 1)
    return MiniatureFile("loras", name, nn.Module, format="fp32", more=more)


def umt5_pieces() -> torch.Tensor:
    """The bytes of UMT5's vocabulary, as a tensor in a file."""
    packed = files("safelight.models.data").joinpath("umt5_spiece.model.xz").read_bytes()
    return torch.frombuffer(bytearray(lzma.decompress(packed)), dtype=torch.uint8)


def image_autoencoder() -> nn.Module:
    """The autoencoder with 16 channels of Flux and its relatives."""
    return Autoencoder(AutoencoderShape(16, (32, 32, 64, 64), blocks=1, has_attention=True, has_quant=False))


CLIP_L = MiniatureFile("text_encoders", "clip_l.safetensors", clip_l)
T5_NAMES = {"t5xxl_fp16.safetensors": "bf16", "t5xxl_fp8_e4m3fn_scaled.safetensors": "fp8_scaled"}
T5 = tuple(MiniatureFile("text_encoders", name, t5, format=format) for name, format in T5_NAMES.items())
AE = MiniatureFile("vae", "ae.safetensors", image_autoencoder, format="fp32")
QWEN_3_4B = "qwen_3_4b.safetensors"
