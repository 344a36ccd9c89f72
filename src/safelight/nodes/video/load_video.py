"""Nodes that load videos that the user uploaded, and take them apart."""

from safelight.nodes.files.input_file import check_input_file, content_digest
from safelight.nodes.video.clip import Clip, FileClip
from safelight.sdk import Node, NodeOutput, Schema, current, io


class LoadVideo(Node):
    """Load a video file. Its frames are read when a node needs them."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LoadVideo",
            display_name="Load Video",
            category="image/video",
            search_aliases=["import video", "open video", "video file"],
            inputs=[io.Combo.Input("file", upload="video", multiselect=False)],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        return check_input_file(file, kind="video")

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        return content_digest(file)

    @classmethod
    def execute(cls, file: str) -> NodeOutput:
        return NodeOutput(FileClip(current().input_path(file), name=file))


class GetVideoComponents(Node):
    """Split a video into its frames as images, its audio, and its frame rate."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="GetVideoComponents",
            display_name="Get Video Components",
            category="image/video",
            search_aliases=["extract frames", "split video", "video to images"],
            inputs=[io.Video.Input("video")],
            outputs=[io.Image.Output("images"), io.Audio.Output("audio"), io.Float.Output("fps")],
        )

    @classmethod
    def execute(cls, video: Clip) -> NodeOutput:
        parts = video.get_components()
        return NodeOutput(parts.images, parts.audio, float(parts.frame_rate))


class VideoSlice(Node):
    """Cut a part out of a video. A negative start counts back from the end; a duration of 0 keeps the rest."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="Video Slice",
            display_name="Video Slice",
            category="image/video",
            search_aliases=["trim video", "cut video", "video segment"],
            inputs=[
                io.Video.Input("video"),
                io.Float.Input("start_time", default=0.0, min=-1e5, max=1e5, step=0.001, tooltip="In seconds."),
                io.Float.Input(
                    "duration", default=0.0, min=0.0, step=0.001, tooltip="In seconds; 0 keeps the rest of the video."
                ),
                io.Boolean.Input(
                    "strict_duration", default=False, tooltip="Fail if the video is shorter than the duration."
                ),
            ],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def execute(
        cls, video: Clip, start_time: float = 0.0, duration: float = 0.0, strict_duration: bool = False
    ) -> NodeOutput:
        whole_s = video.get_duration()
        start_s = max(0.0, whole_s + start_time) if start_time < 0 else start_time
        if start_s >= whole_s:
            raise ValueError(f"the part begins at {start_s:g} s, but the video is only {whole_s:g} s long")
        half_frame_s = 0.5 / float(video.get_frame_rate())
        if strict_duration and start_s + duration > whole_s + half_frame_s:
            raise ValueError(f"cannot cut {duration:g} s from {start_s:g} s: the video is only {whole_s:g} s long")
        return NodeOutput(video.trimmed(start_s=start_s, duration_s=duration))
