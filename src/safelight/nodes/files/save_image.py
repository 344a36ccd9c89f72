"""Nodes that save images to files, one each."""

from collections.abc import Sequence

from safelight.media.image import save_png
from safelight.media.metadata import Metadata
from safelight.nodes.files.pixels import Images, byte_frames
from safelight.sdk import Node, NodeOutput, OutputFile, Schema, current, io, ui


def save_pictures(
    images: Images, *, prefix: str, folder: str, compress_level: int, metadata: Metadata
) -> Sequence[OutputFile]:
    """Save ``[B, H, W, C]`` as numbered PNGs."""
    run = current()
    count, height, width = images.shape[:3]
    series = run.open_series(prefix, folder=folder, count=count, width=width, height=height)
    files = []
    for index, pixels in enumerate(byte_frames(images)):
        run.raise_if_cancelled()
        file = series.file(index, ".png")
        save_png(file.path, pixels, compress_level=compress_level, metadata=metadata)
        files.append(file)
    return files


class SaveImage(Node):
    """Save images as PNG files in the output folder, with the workflow embedded.

    Drop such a file on the UI to open the workflow that made it."""

    reads_in_pieces = frozenset({"images"})

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveImage",
            display_name="Save Image",
            category="image",
            essentials_category="Basics",
            search_aliases=["export image", "write png", "keep"],
            listed_combos=True,
            is_output_node=True,
            inputs=[
                io.Image.Input("images", tooltip="The images to save."),
                io.String.Input(
                    "filename_prefix",
                    default="ComfyUI",
                    tooltip="The start of the file names; a number follows. It may contain folders, %date:yyyy-MM-dd%, "
                    "%width% and %height%.",
                ),
            ],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, images: Images, filename_prefix: str) -> NodeOutput:
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        files = save_pictures(images, prefix=filename_prefix, folder="output", compress_level=4, metadata=metadata)
        return NodeOutput(ui=ui.Images(files))
