"""Miniature weights of HunyuanVideo 1.5."""

from torch import nn

from safelight.models.autoencoder.hunyuan_video_module import HunyuanVideoAutoencoderShape, Level
from safelight.models.families.hunyuan_video.network import HunyuanVideo, HunyuanVideoShape
from safelight.models.families.qwen_image.miniature_files import TEXT
from safelight.models.miniatures.file import Miniature, MiniatureFile
from safelight.models.miniatures.shapes import WIDTH
from safelight.models.text.t5 import T5Encoder, T5Shape
from safelight.models.transformer.streams import StreamShape
from safelight.models.vision.vision_module import VisionShape, VisionTransformer

NETWORK = HunyuanVideoShape(
    StreamShape(width=256, heads=2, inner=1024),
    channels=65,
    out_channels=32,
    text=WIDTH,
    glyphs=1472,
    glyph_inner=256,
    picture=1152,
    double_blocks=2,
    single_blocks=0,
    has_guidance=False,
)
AUTOENCODER = HunyuanVideoAutoencoderShape(
    latent=32,
    image=3,
    encoder=(
        Level(8, 8, 1, next=16),
        Level(16, 16, 1, next=32),
        Level(32, 32, 1, next=64, in_time=True),
        Level(64, 64, 1, next=64, in_time=True),
        Level(64, 64, 1),
    ),
    decoder=(
        Level(64, 64, 1, next=64, in_time=True),
        Level(64, 64, 1, next=32, in_time=True),
        Level(32, 32, 1, next=16),
        Level(16, 16, 1, next=8),
        Level(8, 8, 1),
    ),
)
_GLYPHS = T5Shape(1510, 1472, 6, 64, 256, 2, is_gated=True, has_own_biases=False)
_VISION = VisionShape(1152, 288, layers=2, patch=14, patches=27, projection=0, is_siglip=True)


def _vision() -> nn.Module:
    return VisionTransformer(_VISION, heads=16)


SHARED = (
    TEXT,
    MiniatureFile("text_encoders", "byt5_small_glyphxl_fp16.safetensors", lambda: T5Encoder(_GLYPHS)),
    MiniatureFile("clip_vision", "sigclip_vision_patch14_384.safetensors", _vision),
    MiniatureFile("vae", "hunyuanvideo15_vae_fp16.safetensors", AUTOENCODER.build),
)

MINIATURES = (
    Miniature(
        "hunyuan-video-1.5",
        (
            MiniatureFile(
                "diffusion_models", "hunyuanvideo1.5_720p_t2v_fp16.safetensors", lambda: HunyuanVideo(NETWORK)
            ),
            MiniatureFile(
                "diffusion_models", "hunyuanvideo1.5_720p_i2v_fp16.safetensors", lambda: HunyuanVideo(NETWORK)
            ),
            *SHARED,
        ),
    ),
)
