"""The types of inputs and outputs: ``io.Image.Input("image")``, ``io.Int.Input("width", default=512, min=0)``.

Each class is one type name of ComfyUI's graphs. ``Input(...)`` makes the :class:`Input` that a schema lists;
options that are ``None`` are omitted from what clients see. Tensor conventions of the values:

* ``IMAGE``: float32 ``[B, H, W, C]`` in 0..1, C = 3 (4 with alpha).  ``MASK``: float32 ``[B, H, W]`` in 0..1.
* ``LATENT``: dict with ``samples`` ``[B, C, H/8, W/8]`` (video ``[B, C, T, H, W]``), ``noise_mask``, ``batch_index``.
* ``CONDITIONING``: list of ``[embedding, options]``.  ``SIGMAS``: float32 ``[steps + 1]``, falling to 0.
* ``AUDIO``: dict with ``waveform`` ``[B, channels, samples]`` in -1..1 and ``sample_rate`` in Hz.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from safelight.core.node import InputSchema, OutputSchema, Section
from safelight.sdk.plain import plain


@dataclass(frozen=True)
class Input:
    """An input as a node author declares it."""

    id: str
    type: str
    optional: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    def to_schema(self) -> InputSchema:
        section = Section.OPTIONAL if self.optional else Section.REQUIRED
        return InputSchema(self.id, self.type, section, plain(self.config))


@dataclass(frozen=True)
class Output:
    """An output as a node author declares it; its name is ``display_name``, else the id, else the type."""

    type: str
    id: str | None = None
    display_name: str | None = None
    is_list: bool = False
    tooltip: str | None = None
    template: str | None = None
    options: tuple[Any, ...] | None = None

    def to_schema(self) -> OutputSchema:
        name = self.display_name or self.id or self.type
        return OutputSchema(self.type, name, self.is_list, self.tooltip, self.template, self.options)


def _config(
    *,
    tooltip: str | None = None,
    lazy: bool | None = None,
    display_name: str | None = None,
    force_input: bool | None = None,
    raw_link: bool | None = None,
    advanced: bool | None = None,
    socketless: bool | None = None,
    extra: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Return the options in ComfyUI's spelling, without those that were not given. ``extra`` is added unchanged."""
    known = {
        "tooltip": tooltip,
        "lazy": lazy,
        "display_name": display_name,
        "forceInput": force_input,
        "rawLink": raw_link,
        "advanced": advanced,
        "socketless": socketless,
        **options,
    }
    return {k: v for k, v in known.items() if v is not None} | dict(extra or {})


class Type:
    """A type of a graph. Subclasses set the name; ``Custom("NAME")`` makes a type of your own."""

    name: ClassVar[str]

    @classmethod
    def Input(cls, id: str, *, optional: bool = False, **options: Any) -> Input:  # noqa: N802
        return Input(id, cls.name, optional, _config(**options))

    @classmethod
    def Output(  # noqa: N802
        cls,
        id: str | None = None,
        *,
        display_name: str | None = None,
        is_list: bool = False,
        tooltip: str | None = None,
    ) -> Output:
        return Output(cls.name, id, display_name, is_list, tooltip)


def Custom(name: str) -> type[Type]:  # noqa: N802
    return type(name, (Type,), {"name": name})


class Int(Type):
    name = "INT"

    @classmethod
    def Input(  # noqa: N802
        cls,
        id: str,
        *,
        optional: bool = False,
        default: int | None = None,
        min: int | None = None,
        max: int | None = None,
        step: int | None = None,
        control_after_generate: bool | None = None,
        display: str | None = None,
        **options: Any,
    ) -> Input:
        config = _config(
            default=default,
            min=min,
            max=max,
            step=step,
            control_after_generate=control_after_generate,
            display=display,
            **options,
        )
        return Input(id, cls.name, optional, config)


class Float(Type):
    name = "FLOAT"

    @classmethod
    def Input(  # noqa: N802
        cls,
        id: str,
        *,
        optional: bool = False,
        default: float | None = None,
        min: float | None = None,
        max: float | None = None,
        step: float | None = None,
        round: float | bool | None = None,
        display: str | None = None,
        **options: Any,
    ) -> Input:
        config = _config(default=default, min=min, max=max, step=step, round=round, display=display, **options)
        return Input(id, cls.name, optional, config)


class Boolean(Type):
    name = "BOOLEAN"

    @classmethod
    def Input(  # noqa: N802
        cls,
        id: str,
        *,
        optional: bool = False,
        default: bool | None = None,
        label_on: str | None = None,
        label_off: str | None = None,
        **options: Any,
    ) -> Input:
        config = _config(default=default, label_on=label_on, label_off=label_off, **options)
        return Input(id, cls.name, optional, config)


class String(Type):
    name = "STRING"

    @classmethod
    def Input(  # noqa: N802
        cls,
        id: str,
        *,
        optional: bool = False,
        default: str | None = None,
        multiline: bool | None = None,
        placeholder: str | None = None,
        dynamic_prompts: bool | None = None,
        **options: Any,
    ) -> Input:
        config = _config(
            default=default, multiline=multiline, placeholder=placeholder, dynamicPrompts=dynamic_prompts, **options
        )
        return Input(id, cls.name, optional, config)


class Combo(Type):
    """A choice from a list. ``upload`` (image, video, audio or file) marks a combo of the user's files, and
    ``model_folder`` one of the files in a model folder; the server fills in both."""

    name = "COMBO"

    @classmethod
    def Input(  # noqa: N802
        cls,
        id: str,
        options: Sequence[Any] = (),
        *,
        optional: bool = False,
        default: Any = None,
        upload: str | None = None,
        upload_folder: str | None = None,
        model_folder: str | None = None,
        multiselect: bool | None = None,
        control_after_generate: bool | None = None,
        **rest: Any,
    ) -> Input:
        config = _config(
            default=default,
            multiselect=multiselect,
            control_after_generate=control_after_generate,
            image_folder=upload_folder,
            model_folder=model_folder,
            **rest,
        )
        if upload is not None:
            config[f"{upload}_upload"] = True
        return Input(id, cls.name, optional, config | {"options": list(options)})


class AnyType(Type):
    name = "*"


class MultiType:
    """An input that takes several types: ``MultiType.Input("x", [io.Image, io.Mask])``."""

    @staticmethod
    def Input(id: str, types: Sequence[type[Type]], *, optional: bool = False, **options: Any) -> Input:  # noqa: N802
        return Input(id, ",".join(t.name for t in types), optional, _config(**options))


@dataclass(frozen=True)
class Template:
    """A type that the graph decides: inputs and outputs with the same template id share one type."""

    id: str
    allowed: Sequence[type[Type]] = (AnyType,)

    def to_json(self) -> dict[str, Any]:
        return {"template_id": self.id, "allowed_types": ",".join(t.name for t in self.allowed)}


class MatchType:
    name = "COMFY_MATCHTYPE_V3"

    @classmethod
    def Input(cls, id: str, template: Template, *, optional: bool = False, **options: Any) -> Input:  # noqa: N802
        return Input(id, cls.name, optional, _config(**options) | {"template": template.to_json()})

    @classmethod
    def Output(  # noqa: N802
        cls, template: Template, *, display_name: str | None = None, id: str | None = None, is_list: bool = False
    ) -> Output:
        return Output(cls.name, id, display_name, is_list, None, template.id)


@dataclass(frozen=True)
class Option:
    """One choice of a dynamic combo, and the inputs that appear with it."""

    key: str
    inputs: Sequence[Input] = ()


class DynamicCombo:
    """A choice that adds inputs. The node receives a dict: the choice under the input's own id, and the chosen option's
    inputs: ``{"resize_type": "scale width", "width": 11}``. In a prompt these are the flat keys
    ``resize_type`` and ``resize_type.width``."""

    name = "COMFY_DYNAMICCOMBO_V3"

    @classmethod
    def Input(cls, id: str, options: Sequence[Option], *, optional: bool = False, **rest: Any) -> Input:  # noqa: N802
        written = [{"key": o.key, "inputs": inputs_to_json(o.inputs)} for o in options]
        return Input(id, cls.name, optional, _config(**rest) | {"options": written})


class Autogrow:
    """A list of inputs that grows in the UI. The node receives a dict ``{"image0": ..., "image1": ...}``; in a prompt
    these are flat keys such as ``images.image0``. Named by a prefix and a number, or by ``names``."""

    name = "COMFY_AUTOGROW_V3"

    @classmethod
    def Input(  # noqa: N802
        cls,
        id: str,
        template: Input,
        *,
        prefix: str | None = None,
        names: Sequence[str] | None = None,
        min: int = 1,
        max: int = 10,
        optional: bool = False,
        **rest: Any,
    ) -> Input:
        written: dict[str, Any] = {"input": inputs_to_json([template])}
        if names is not None:
            written |= {"names": list(names), "min": min}
        else:
            written |= {"prefix": prefix or template.id, "min": min, "max": max}
        return Input(id, cls.name, optional, _config(**rest) | {"template": written})


def inputs_to_json(inputs: Sequence[Input]) -> dict[str, dict[str, Any]]:
    """Return ``{"required": {id: [type, config]}, "optional": {...}}``, as in the templates of dynamic inputs."""
    written: dict[str, dict[str, Any]] = {}
    for i in inputs:
        written.setdefault("optional" if i.optional else "required", {})[i.id] = [i.type, dict(i.config)]
    return written or {"required": {}}


class Image(Type):
    name = "IMAGE"


class Mask(Type):
    name = "MASK"


class Latent(Type):
    name = "LATENT"


class Conditioning(Type):
    name = "CONDITIONING"


class Sigmas(Type):
    name = "SIGMAS"


class Noise(Type):
    name = "NOISE"


class Sampler(Type):
    name = "SAMPLER"


class Guider(Type):
    name = "GUIDER"


class Model(Type):
    name = "MODEL"


class Clip(Type):
    name = "CLIP"


class Vae(Type):
    name = "VAE"


class ControlNet(Type):
    name = "CONTROL_NET"


class ClipVision(Type):
    name = "CLIP_VISION"


class ClipVisionOutput(Type):
    name = "CLIP_VISION_OUTPUT"


class StyleModel(Type):
    name = "STYLE_MODEL"


class UpscaleModel(Type):
    name = "UPSCALE_MODEL"


class LatentOperation(Type):
    name = "LATENT_OPERATION"


class Audio(Type):
    name = "AUDIO"


class Video(Type):
    name = "VIDEO"


class Svg(Type):
    name = "SVG"


class Hooks(Type):
    name = "HOOKS"


class HookKeyframes(Type):
    name = "HOOK_KEYFRAMES"


class Floats(Type):
    name = "FLOATS"


class TimestepsRange(Type):
    name = "TIMESTEPS_RANGE"


class Tracks(Type):
    name = "TRACKS"


class WanCameraEmbedding(Type):
    name = "WAN_CAMERA_EMBEDDING"


class BoundingBox(Type):
    name = "BOUNDING_BOX"
