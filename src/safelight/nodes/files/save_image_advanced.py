"""Nodes that save images in a format, bit depth and color space of the user's choice."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from safelight.media import avif, exr
from safelight.media.deep_png import save_deep_png
from safelight.media.image import save_png, to_uint8
from safelight.media.metadata import Metadata
from safelight.media.video import frame_rate_of
from safelight.nodes.files.pixels import float_array
from safelight.sdk import Node, NodeOutput, OutputFile, OutputSeries, Schema, current, io, ui

_AVIF_COLORS = {"sRGB": avif.SRGB, "HDR": avif.HLG, "HDR PQ": avif.PQ}


class SaveImageAdvanced(Node):
    """Save images as PNG, OpenEXR or AVIF, in the bit depth and color space of your choice, and pass them on.

    PNG and OpenEXR files carry the workflow; AVIF files do only if they are still images with 8 bits."""

    @classmethod
    def define_schema(cls) -> Schema:
        moving = [
            io.Float.Input("fps", default=6.0, min=0.01, max=1000.0, step=0.01),
            io.Int.Input(
                "loop_count", default=0, min=0, max=1000, tooltip="How often the animation plays; 0 repeats it forever."
            ),
        ]
        png = [
            io.Combo.Input("bit_depth", ["8-bit", "16-bit"], default="8-bit"),
            io.Combo.Input("input_color_space", ["sRGB"], default="sRGB"),
        ]
        openexr = [
            io.Combo.Input("bit_depth", ["16-bit float", "32-bit float"], default="16-bit float"),
            io.Combo.Input(
                "input_color_space",
                ["sRGB", "HDR", "linear", "linear ACEScg"],
                default="sRGB",
                tooltip="How the images are encoded. sRGB and HDR (HLG in Rec. 2020) are converted to linear light; "
                "the others are already linear, with the primaries of Rec. 709 or of ACEScg.",
            ),
        ]
        av1 = [
            io.Combo.Input("bit_depth", ["auto", "8-bit YUV420", "10-bit YUV420"], default="auto"),
            io.Combo.Input("input_color_space", list(_AVIF_COLORS), default="sRGB"),
            io.Int.Input(
                "crf",
                default=18,
                min=1,
                max=63,
                tooltip="Constant rate factor: lower values give better quality and larger files.",
            ),
            io.DynamicCombo.Input("save_mode", [io.Option("still images"), io.Option("animated", moving)]),
        ]
        return Schema(
            node_id="SaveImageAdvanced",
            display_name="Save Image (Advanced)",
            category="image",
            search_aliases=["export image", "exr", "avif", "16-bit"],
            is_output_node=True,
            inputs=[
                io.Image.Input("images", tooltip="The images to save."),
                io.String.Input(
                    "filename_prefix",
                    default="ComfyUI",
                    tooltip="The start of the file names; a number follows. It may contain folders, %date:yyyy-MM-dd%, "
                    "%width% and %height%.",
                ),
                io.DynamicCombo.Input(
                    "format", [io.Option("png", png), io.Option("exr", openexr), io.Option("avif", av1)]
                ),
            ],
            outputs=[io.Image.Output("images")],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, images: torch.Tensor, filename_prefix: str, format: dict[str, Any]) -> NodeOutput:
        count, height, width = images.shape[:3]
        series = current().open_series(filename_prefix, count=count, width=width, height=height)
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        save = {"png": _save_png, "exr": _save_exr, "avif": _save_avif}[format["format"]]
        files = list(save(_arrays(images), series, format, metadata))
        moves = len(files) < count
        return NodeOutput(images, ui=ui.Images(files, animated=True if moves else None))


Arrays = Iterator[NDArray[np.float32]]


def _arrays(images: torch.Tensor) -> Arrays:
    for image in images:
        current().raise_if_cancelled()
        yield float_array(image)


def _save_png(arrays: Arrays, series: OutputSeries, chosen: dict[str, Any], metadata: Metadata) -> Iterator[OutputFile]:
    for index, values in enumerate(arrays):
        file = series.file(index, ".png")
        if chosen.get("bit_depth") == "16-bit":
            save_deep_png(file.path, values, metadata=metadata)
        else:
            save_png(file.path, to_uint8(values), metadata=metadata)
        yield file


def _save_exr(arrays: Arrays, series: OutputSeries, chosen: dict[str, Any], metadata: Metadata) -> Iterator[OutputFile]:
    half = chosen.get("bit_depth", "16-bit float") == "16-bit float"
    space = chosen.get("input_color_space", "sRGB")
    primaries = {"HDR": exr.REC_2020, "linear ACEScg": exr.ACES_AP1}.get(space, exr.REC_709)
    to_linear = {"sRGB": exr.srgb_to_linear, "HDR": exr.hlg_to_linear}.get(space)
    for index, values in enumerate(arrays):
        light = values.copy()
        if to_linear is not None:  # only colors; alpha is already linear
            light[..., :3] = to_linear(values[..., :3])
        file = series.file(index, ".exr")
        exr.save_exr(file.path, light, half=half, chromaticities=primaries, metadata=metadata)
        yield file


def _save_avif(
    arrays: Arrays, series: OutputSeries, chosen: dict[str, Any], metadata: Metadata
) -> Iterator[OutputFile]:
    space = chosen.get("input_color_space", "sRGB")
    depth = chosen.get("bit_depth", "auto")
    ten_bits = depth.startswith("10") or (depth == "auto" and space != "sRGB")
    crf = chosen.get("crf", 18)
    mode = chosen.get("save_mode") or {}
    colors = _AVIF_COLORS[space]
    opaque = (_without_alpha(values) for values in arrays)
    if mode.get("save_mode") == "animated":
        file = series.file(0, ".avif")
        rate = frame_rate_of(mode.get("fps", 6.0))
        loops = mode.get("loop_count", 0)
        avif.save_deep_avif(
            file.path, opaque, crf=crf, ten_bits=ten_bits, colors=colors, frame_rate=rate, loop_count=loops
        )
        yield file
        return
    for index, values in enumerate(opaque):
        file = series.file(index, ".avif")
        if ten_bits or space != "sRGB":
            avif.save_deep_avif(file.path, [values], crf=crf, ten_bits=ten_bits, colors=colors)
        else:
            avif.save_avif(file.path, to_uint8(values), crf=crf, metadata=metadata)
        yield file


def _without_alpha(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """AVIF is written from gray or RGB; gray is repeated over three channels."""
    if values.shape[2] not in (1, 3):
        raise ValueError(
            f"AVIF needs images with 1 or 3 channels, not {values.shape[2]}: remove the alpha channel first"
        )
    return np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values
