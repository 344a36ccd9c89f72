"""Small shapes of the text encoders and autoencoders that families share. Vocabularies are whole, because tokens index
them; everything else is small.
"""

from torch import nn

from safelight.models.autoencoder.autoencoder_module import Autoencoder, AutoencoderShape
from safelight.models.language.architecture import DecoderShape, LanguageArchitecture
from safelight.models.language.decoder import Decoder
from safelight.models.miniatures.file import MiniatureFile
from safelight.models.text.t5 import T5Encoder, T5Shape

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


def t5(*, has_own_biases: bool = False) -> nn.Module:
    """T5, or UMT5 with tables of biases in each layer."""
    vocabulary = 256384 if has_own_biases else 32128
    return T5Encoder(
        T5Shape(vocabulary, WIDTH, 4, WIDTH // 4, 2 * WIDTH, 2, is_gated=True, has_own_biases=has_own_biases)
    )


def image_autoencoder() -> nn.Module:
    """The autoencoder with 16 channels of Flux and its relatives."""
    return Autoencoder(AutoencoderShape(16, (32, 32, 64, 64), blocks=1, has_attention=True, has_quant=False))


AE = MiniatureFile("vae", "ae.safetensors", image_autoencoder, format="fp32")
QWEN_3_4B = "qwen_3_4b.safetensors"
