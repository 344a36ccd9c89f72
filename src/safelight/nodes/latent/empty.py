"""Nodes that create empty image latents, with the channels and scale of each model family."""

from safelight.nodes.latent.zeros import zeros
from safelight.sdk import Node, NodeOutput, Schema, io


class EmptyLatentImage(Node):
    """Create an empty latent for Stable Diffusion and other models with 4 channels, at 1/8 of the image size."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyLatentImage",
            display_name="Empty Latent Image",
            category="latent",
            inputs=[
                io.Int.Input("width", default=512, min=16, max=16384, step=8),
                io.Int.Input("height", default=512, min=16, max=16384, step=8),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 4, height // 8, width // 8)})


class EmptySD3LatentImage(Node):
    """Create an empty latent for SD3, Flux 1 and other models with 16 channels, at 1/8 of the image size."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptySD3LatentImage",
            category="latent/sd3",
            inputs=[
                io.Int.Input("width", default=1024, min=16, max=16384, step=16),
                io.Int.Input("height", default=1024, min=16, max=16384, step=16),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 16, height // 8, width // 8)})


class EmptyFlux2LatentImage(Node):
    """Create an empty latent for Flux 2: 128 channels, at 1/16 of the image size."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyFlux2LatentImage",
            display_name="Empty Flux 2 Latent",
            category="latent",
            inputs=[
                io.Int.Input("width", default=1024, min=16, max=16384, step=16),
                io.Int.Input("height", default=1024, min=16, max=16384, step=16),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 128, height // 16, width // 16)})


class EmptyHunyuanImageLatent(Node):
    """Create an empty latent for HunyuanImage: 64 channels, at 1/32 of the image size."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyHunyuanImageLatent",
            category="latent",
            inputs=[
                io.Int.Input("width", default=2048, min=64, max=16384, step=32),
                io.Int.Input("height", default=2048, min=64, max=16384, step=32),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 64, height // 32, width // 32)})


class EmptyChromaRadianceLatentImage(Node):
    """Create an empty latent for Chroma Radiance, which works directly on pixels: 3 channels."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyChromaRadianceLatentImage",
            category="latent/chroma_radiance",
            inputs=[
                io.Int.Input("width", default=1024, min=16, max=16384, step=16),
                io.Int.Input("height", default=1024, min=16, max=16384, step=16),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 3, height, width)})


class EmptyQwenImageLayeredLatentImage(Node):
    """Create an empty latent for Qwen-Image-Layered: the image and its layers, 16 channels each, at 1/8 of the image
    size."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyQwenImageLayeredLatentImage",
            display_name="Empty Qwen Image Layered Latent",
            category="latent/qwen",
            inputs=[
                io.Int.Input("width", default=640, min=16, max=16384, step=16),
                io.Int.Input("height", default=640, min=16, max=16384, step=16),
                io.Int.Input("layers", default=3, min=0, max=16384, step=1),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, layers: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 16, layers + 1, height // 8, width // 8)})


class StableCascade_EmptyLatentImage(Node):  # noqa: N801
    """Create empty latents for the two stages of Stable Cascade. "compression" is how many times smaller than the image
    the first one is."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StableCascade_EmptyLatentImage",
            category="latent/stable_cascade",
            inputs=[
                io.Int.Input("width", default=1024, min=256, max=16384, step=8),
                io.Int.Input("height", default=1024, min=256, max=16384, step=8),
                io.Int.Input("compression", default=42, min=4, max=128, step=1),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output(display_name="stage_c"), io.Latent.Output(display_name="stage_b")],
        )

    @classmethod
    def execute(cls, width: int, height: int, compression: int, batch_size: int = 1) -> NodeOutput:
        stage_c = zeros(batch_size, 16, height // compression, width // compression)
        stage_b = zeros(batch_size, 4, height // 4, width // 4)
        return NodeOutput({"samples": stage_c}, {"samples": stage_b})


class EmptyLatentHunyuan3Dv2(Node):
    """Create an empty latent for Hunyuan3D 2. "resolution" is its number of tokens."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyLatentHunyuan3Dv2",
            category="latent/3d",
            inputs=[
                io.Int.Input("resolution", default=3072, min=1, max=8192),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, resolution: int, batch_size: int) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 64, resolution), "type": "hunyuan3dv2"})


class EmptyHiDreamO1LatentImage(Node):
    """Create an empty latent for HiDream-O1, which works directly on pixels: 3 channels. It was trained on about 4
    megapixels."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="EmptyHiDreamO1LatentImage",
            display_name="Empty HiDream-O1 Latent Image",
            category="latent",
            inputs=[
                io.Int.Input("width", default=2048, min=64, max=4096, step=32),
                io.Int.Input("height", default=2048, min=64, max=4096, step=32),
                io.Int.Input("batch_size", default=1, min=1, max=64),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, width: int, height: int, batch_size: int = 1) -> NodeOutput:
        return NodeOutput({"samples": zeros(batch_size, 3, height, width)})
