"""The types of V3 inputs and outputs, with ComfyUI's spelling of their options: ``io.Int.Input("n", default=1)``.

``Input`` and ``Output`` make the declarations of ``sdk.io``; each class stands for one type name of graphs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, ClassVar

from safelight.sdk.io import Input as DeclaredInput
from safelight.sdk.io import Output as DeclaredOutput


class FolderType(StrEnum):
    input = "input"
    output = "output"
    temp = "temp"


class UploadType(StrEnum):
    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class NumberDisplay(StrEnum):
    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(StrEnum):
    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


@dataclass(frozen=True)
class RemoteOptions:
    """The URL from which clients fill a combo."""

    route: str
    refresh_button: bool = True
    control_after_refresh: str = "first"
    timeout: int | None = None
    max_retries: int | None = None
    refresh: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


def declare(io_type: str, id: str, optional: bool, options: Mapping[str, Any]) -> DeclaredInput:
    """Make a declaration. Options that are ``None`` are omitted; ``extra_dict`` is added unchanged."""
    given = dict(options)
    extra = given.pop("extra_dict", None) or {}
    config = {_SPELLED.get(k, k): _plain(v) for k, v in given.items() if v is not None}
    return DeclaredInput(id, io_type, optional, config | dict(extra))


_SPELLED = {
    "force_input": "forceInput",
    "raw_link": "rawLink",
    "dynamic_prompts": "dynamicPrompts",
    "display_mode": "display",
    "widget_type": "widgetType",
}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return value.as_dict() if hasattr(value, "as_dict") else value


class ComfyTypeIO:
    """A type without options of its own. ``Type`` is for annotations."""

    io_type: ClassVar[str] = "*"
    Type: ClassVar[Any] = Any

    @classmethod
    def Input(
        cls,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        raw_link: bool | None = None,
        advanced: bool | None = None,
        **options: Any,
    ) -> DeclaredInput:
        common = {"display_name": display_name, "tooltip": tooltip, "lazy": lazy, "extra_dict": extra_dict}
        return declare(cls.io_type, id, optional, common | {"raw_link": raw_link, "advanced": advanced} | options)

    @classmethod
    def Output(
        cls,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
        **_: Any,
    ) -> DeclaredOutput:
        return DeclaredOutput(cls.io_type, id, display_name, is_output_list, tooltip)


ComfyTypeI = ComfyTypeIO


def Custom(io_type: str) -> type[ComfyTypeIO]:
    return type(io_type, (ComfyTypeIO,), {"io_type": io_type})


def comfytype(io_type: str, **_: Any) -> Callable[[type], type]:
    """Decorate a class with its type name."""

    def named(cls: type) -> type:
        cls.io_type = io_type  # type: ignore[attr-defined]
        return cls

    return named


class Combo(ComfyTypeIO):
    io_type = "COMBO"
    Type = str

    @classmethod
    def Input(  # type: ignore[override]
        cls,
        id: str,
        options: Any = None,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: Any = None,
        upload: UploadType | None = None,
        **further: Any,
    ) -> DeclaredInput:
        """``options``: choices, or an enum of texts. For a list of model files the server lists the files of its
        folder."""
        config: dict[str, Any] = {"display_name": display_name, "tooltip": tooltip, "lazy": lazy, "default": default}
        if isinstance(options, type) and issubclass(options, Enum):
            options = [member.value for member in options]
        folder = getattr(options, "model_folder", None)
        config["options"] = list(options or ()) if folder is None else list(options.own)
        config["model_folder"] = folder
        if upload is not None:
            config[UploadType(upload).value] = True
        return declare(cls.io_type, id, optional, config | further)

    @classmethod
    def Output(  # type: ignore[override]
        cls,
        id: str | None = None,
        display_name: str | None = None,
        options: Sequence[Any] | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> DeclaredOutput:
        return DeclaredOutput(cls.io_type, id, display_name, is_output_list, tooltip)


class MultiCombo(Combo):
    """Several choices from a list."""

    @classmethod
    def Input(cls, id: str, options: Any = None, *args: Any, **further: Any) -> DeclaredInput:  # type: ignore[override]
        return super().Input(id, options, *args, **{"multiselect": True} | further)


def _typed(io_type: str, value_type: Any) -> type[ComfyTypeIO]:
    return type(io_type, (ComfyTypeIO,), {"io_type": io_type, "Type": value_type})


Int = _typed("INT", int)
Float = _typed("FLOAT", float)
String = _typed("STRING", str)
Boolean = _typed("BOOLEAN", bool)
AnyType = _typed("*", Any)

_NAMES = {
    "Accumulation": "ACCUMULATION",
    "Audio": "AUDIO",
    "AudioEncoder": "AUDIO_ENCODER",
    "AudioEncoderOutput": "AUDIO_ENCODER_OUTPUT",
    "BBOX": "BBOX",
    "BoundingBox": "BOUNDING_BOX",
    "Clip": "CLIP",
    "ClipVision": "CLIP_VISION",
    "ClipVisionOutput": "CLIP_VISION_OUTPUT",
    "Color": "COLOR",
    "Conditioning": "CONDITIONING",
    "ControlNet": "CONTROL_NET",
    "Curve": "CURVE",
    "FaceAnalysis": "FACE_ANALYSIS",
    "File3DAny": "FILE_3D",
    "FlowControl": "FLOW_CONTROL",
    "Gligen": "GLIGEN",
    "Guider": "GUIDER",
    "Histogram": "HISTOGRAM",
    "HookKeyframes": "HOOK_KEYFRAMES",
    "Hooks": "HOOKS",
    "Image": "IMAGE",
    "ImageCompare": "IMAGECOMPARE",
    "Latent": "LATENT",
    "LatentOperation": "LATENT_OPERATION",
    "LatentUpscaleModel": "LATENT_UPSCALE_MODEL",
    "Load3D": "LOAD_3D",
    "Load3DAnimation": "LOAD_3D_ANIMATION",
    "Load3DCamera": "LOAD3D_CAMERA",
    "LoraModel": "LORA_MODEL",
    "LossMap": "LOSS_MAP",
    "Mask": "MASK",
    "Mesh": "MESH",
    "Model": "MODEL",
    "ModelPatch": "MODEL_PATCH",
    "Noise": "NOISE",
    "Photomaker": "PHOTOMAKER",
    "Point": "POINT",
    "SEGS": "SEGS",
    "SVG": "SVG",
    "Sampler": "SAMPLER",
    "Sigmas": "SIGMAS",
    "StyleModel": "STYLE_MODEL",
    "TimestepsRange": "TIMESTEPS_RANGE",
    "Tracks": "TRACKS",
    "UpscaleModel": "UPSCALE_MODEL",
    "Vae": "VAE",
    "Video": "VIDEO",
    "Voxel": "VOXEL",
    "WanCameraEmbedding": "WAN_CAMERA_EMBEDDING",
    "Webcam": "WEBCAM",
}
"""The other types, by their names in ``io``."""

globals().update({name: Custom(io_type) for name, io_type in _NAMES.items()})

__all__ = ["AnyType", "Boolean", "Float", "Int", "MultiCombo", "String", *_NAMES]
