"""Nodes that make videos from images, and save videos to files."""

from safelight.media.metadata import Metadata
from safelight.media.video import av1_webm, frame_rate_of, vp9_webm, write_video
from safelight.nodes.audio.waveform import Audio
from safelight.nodes.files.pixels import Images, byte_frames
from safelight.nodes.video.clip import Clip, FrameClip, VideoComponents
from safelight.sdk import Node, NodeOutput, Schema, current, io, ui


class CreateVideo(Node):
    """Create a video from images, with audio if there is any."""

    reads_in_pieces = frozenset({"images"})

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CreateVideo",
            display_name="Create Video",
            category="image/video",
            search_aliases=["images to video", "frames to video"],
            inputs=[
                io.Image.Input("images"),
                io.Float.Input("fps", default=30.0, min=1.0, max=120.0, step=1.0, tooltip="Frames per second."),
                io.Audio.Input("audio", optional=True),
            ],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def execute(cls, images: Images, fps: float, audio: Audio | None = None) -> NodeOutput:
        return NodeOutput(FrameClip(VideoComponents(images, frame_rate_of(fps), audio)))


class SaveVideo(Node):
    """Save a video as MP4 (H.264) in the output folder, with the workflow embedded.

    A loaded video that fits into an MP4 as it is, is copied without re-encoding."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveVideo",
            display_name="Save Video",
            category="image/video",
            search_aliases=["export video", "mp4"],
            is_output_node=True,
            inputs=[
                io.Video.Input("video"),
                io.String.Input("filename_prefix", default="video/ComfyUI", multiline=False),
                io.Combo.Input("format", ["auto", "mp4"], default="auto", multiselect=False),
                io.Combo.Input("codec", ["auto", "h264"], default="auto", multiselect=False),
            ],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, video: Clip, filename_prefix: str, format: str, codec: str) -> NodeOutput:
        width, height = video.get_dimensions()
        file = current().open_series(filename_prefix, width=width, height=height).file(0, ".mp4")
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        video.save_to(file.path, codec=codec, metadata=metadata)
        return NodeOutput(ui=ui.Images([file], animated=True))


class SaveWEBM(Node):
    """Save images as a WebM video in the output folder, with the workflow embedded.

    VP9 keeps the transparency of images that have an alpha channel; AV1 makes smaller files."""

    reads_in_pieces = frozenset({"images"})

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveWEBM",
            category="image/video",
            search_aliases=["export webm"],
            is_experimental=True,
            is_output_node=True,
            inputs=[
                io.Image.Input("images"),
                io.String.Input("filename_prefix", default="ComfyUI", multiline=False),
                io.Combo.Input("codec", ["vp9", "av1"], multiselect=False),
                io.Float.Input("fps", default=24.0, min=0.01, max=1000.0, step=0.01),
                io.Float.Input(
                    "crf",
                    default=32.0,
                    min=0,
                    max=63.0,
                    step=1,
                    tooltip="Constant rate factor, 0 to 63: lower values give better quality and larger files.",
                ),
            ],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, images: Images, filename_prefix: str, codec: str, fps: float, crf: float) -> NodeOutput:
        height, width, channels = images.shape[1:]
        file = current().open_series(filename_prefix, width=width, height=height).file(0, ".webm")
        transparent = channels == 4 and codec == "vp9"
        write_video(
            file.path,
            byte_frames(images, channels=None if transparent else 3),
            frame_rate=frame_rate_of(fps),
            format=vp9_webm(crf, alpha=transparent) if codec == "vp9" else av1_webm(crf),
            metadata=Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo),
        )
        return NodeOutput(ui=ui.Images([file], animated=True))
