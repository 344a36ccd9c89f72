"""Nodes that create hooks: LoRAs and models that apply only to some conditionings, scheduled by keyframes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from safelight.models.checkpoint import Checkpoint, load_checkpoint
from safelight.models.lora.file import read_lora
from safelight.models.merging import merge_layer
from safelight.models.network import Network
from safelight.models.stored_network import StoredNetwork
from safelight.models.text.encoder import TextEncoder
from safelight.models.weight_hooks import Changes, HookGroup, Keyframe, WeightHook
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import Identity, Weights, identity_of
from safelight.nodes.conditioning.encode import require_text_encoder
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current

_ROOT = "advanced/hooks"


def _strength(id: str) -> io.Input:
    return io.Float.Input(id, default=1.0, min=-20.0, max=20.0, step=0.01)


def _percent(id: str, default: float) -> io.Input:
    return io.Float.Input(id, default=default, min=0.0, max=1.0, step=0.001)


def _creating(node_id: str, name: str, *inputs: io.Input) -> Schema:
    return Schema(
        node_id=node_id,
        display_name=name,
        category=f"{_ROOT}/create",
        inputs=[*inputs, io.Hooks.Input("prev_hooks", optional=True)],
        outputs=[io.Hooks.Output()],
        is_experimental=True,
        listed_combos=True,
    )


class CreateHookLora(Node):
    """Create a hook that applies a LoRA only to the conditionings that use the hook."""

    @classmethod
    def define_schema(cls) -> Schema:
        lora = io.Combo.Input("lora_name", model_folder="loras")
        return _creating(
            "CreateHookLora", "Create Hook LoRA", lora, _strength("strength_model"), _strength("strength_clip")
        )

    @classmethod
    def execute(
        cls, lora_name: str, strength_model: float, strength_clip: float, prev_hooks: HookGroup | None = None
    ) -> NodeOutput:
        lora = read_lora(current().model_path("loras", lora_name))
        return _with_hook(prev_hooks, lora, strength_model, strength_clip)


class CreateHookLoraModelOnly(Node):
    """Create a hook that applies a LoRA only to the conditionings that use the hook, and not to the text encoder."""

    @classmethod
    def define_schema(cls) -> Schema:
        lora = io.Combo.Input("lora_name", model_folder="loras")
        return _creating("CreateHookLoraModelOnly", "Create Hook LoRA (MO)", lora, _strength("strength_model"))

    @classmethod
    def execute(cls, lora_name: str, strength_model: float, prev_hooks: HookGroup | None = None) -> NodeOutput:
        return _with_hook(prev_hooks, read_lora(current().model_path("loras", lora_name)), strength_model, 0.0)


class CreateHookModelAsLora(Node):
    """Create a hook that replaces the model with another checkpoint, only for the conditionings that use the hook. A
    strength between 0 and 1 mixes the two."""

    @classmethod
    def define_schema(cls) -> Schema:
        file = io.Combo.Input("ckpt_name", model_folder="checkpoints")
        strengths = (_strength("strength_model"), _strength("strength_clip"))
        return _creating("CreateHookModelAsLora", "Create Hook Model as LoRA", file, *strengths)

    @classmethod
    def fingerprint_inputs(cls, ckpt_name: str, **rest: Any) -> Identity:
        return identity_of(current().model_path("checkpoints", ckpt_name))

    @classmethod
    def execute(
        cls, ckpt_name: str, strength_model: float, strength_clip: float, prev_hooks: HookGroup | None = None
    ) -> NodeOutput:
        loaded = load_checkpoint(current().model_path("checkpoints", ckpt_name))
        return _with_hook(prev_hooks, _Replaced(loaded), strength_model, strength_clip)


class CreateHookModelAsLoraModelOnly(Node):
    """Create a hook that replaces the diffusion model with another checkpoint's, only for the conditionings that use
    the hook, and not the text encoder."""

    @classmethod
    def define_schema(cls) -> Schema:
        file = io.Combo.Input("ckpt_name", model_folder="checkpoints")
        name = "Create Hook Model as LoRA (MO)"
        return _creating("CreateHookModelAsLoraModelOnly", name, file, _strength("strength_model"))

    @classmethod
    def fingerprint_inputs(cls, ckpt_name: str, **rest: Any) -> Identity:
        return identity_of(current().model_path("checkpoints", ckpt_name))

    @classmethod
    def execute(cls, ckpt_name: str, strength_model: float, prev_hooks: HookGroup | None = None) -> NodeOutput:
        loaded = load_checkpoint(current().model_path("checkpoints", ckpt_name))
        return _with_hook(prev_hooks, _Replaced(loaded), strength_model, 0.0)


@dataclass(frozen=True, eq=False)
class _Replaced:
    """Replace the weights with those of a checkpoint."""

    checkpoint: Checkpoint

    def network_layer(self, network: Network) -> WeightLayer | None:
        other = self.checkpoint.model.network
        return _replaced(network.shapes, other.weights) if isinstance(other, StoredNetwork) else None

    def text_layer(self, shapes: Mapping[str, torch.Size]) -> WeightLayer | None:
        text = self.checkpoint.text
        return None if text is None else _replaced(shapes, text.weights)


def _replaced(shapes: Mapping[str, torch.Size], other: Weights) -> WeightLayer:
    return merge_layer("hook", shapes, other, (), lambda name: (0.0, 1.0))


def _with_hook(before: HookGroup | None, changes: Changes, model: float, text: float) -> NodeOutput:
    group = before or HookGroup()
    if not model and not text:
        return NodeOutput(group)
    return NodeOutput(HookGroup((*group.hooks, WeightHook(changes, model, text))))


class SetClipHooks(Node):
    """Apply hooks to a text encoder and, with "apply_to_conds", to the conditionings that it makes. "schedule_clip"
    encodes once for each keyframe."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SetClipHooks",
            display_name="Set CLIP Hooks",
            category=f"{_ROOT}/clip",
            inputs=[
                io.Clip.Input("clip"),
                io.Boolean.Input("apply_to_conds", default=True),
                io.Boolean.Input("schedule_clip", default=False),
                io.Hooks.Input("hooks", optional=True),
            ],
            outputs=[io.Clip.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls, clip: TextEncoder, apply_to_conds: bool, schedule_clip: bool, hooks: HookGroup | None = None
    ) -> NodeOutput:
        encoder = require_text_encoder(clip)
        if hooks is None:
            return NodeOutput(encoder)
        hooked = replace(encoder, hooks=hooks, hooks_conditions=apply_to_conds, follows_keyframes=schedule_clip)
        return NodeOutput(hooked)


def _combining(count: int) -> Schema:
    return Schema(
        node_id=f"CombineHooks{count}",
        display_name=f"Combine Hooks [{count}]",
        category=f"{_ROOT}/combine",
        inputs=[io.Hooks.Input(f"hooks_{letter}", optional=True) for letter in "ABCDEFGH"[:count]],
        outputs=[io.Hooks.Output()],
        is_experimental=True,
    )


class _CombineHooks(Node):
    @classmethod
    def execute(cls, **hooks: HookGroup | None) -> NodeOutput:
        given = [group for _, group in sorted(hooks.items()) if group is not None]
        return NodeOutput(HookGroup(tuple(hook for group in given for hook in group.hooks)))


class CombineHooks2(_CombineHooks):
    """Combine two hook groups."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _combining(2)


class CombineHooks4(_CombineHooks):
    """Combine up to four hook groups."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _combining(4)


class CombineHooks8(_CombineHooks):
    """Combine up to eight hook groups."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _combining(8)


Keyframes = tuple[Keyframe, ...]


def _scheduling(node_id: str, name: str, *inputs: io.Input) -> Schema:
    return Schema(
        node_id=node_id,
        display_name=name,
        category=f"{_ROOT}/scheduling",
        inputs=[*inputs, io.HookKeyframes.Input("prev_hook_kf", optional=True)],
        outputs=[io.HookKeyframes.Output(display_name="HOOK_KF")],
        is_experimental=True,
        listed_combos=True,
    )


class CreateHookKeyframe(Node):
    """Set the hook strength from a given point of sampling (0 = start, 1 = end)."""

    @classmethod
    def define_schema(cls) -> Schema:
        inputs = (_strength("strength_mult"), _percent("start_percent", 0.0))
        return _scheduling("CreateHookKeyframe", "Create Hook Keyframe", *inputs)

    @classmethod
    def execute(cls, strength_mult: float, start_percent: float, prev_hook_kf: Keyframes = ()) -> NodeOutput:
        return NodeOutput((*(prev_hook_kf or ()), Keyframe(start_percent, strength_mult)))


class CreateHookKeyframesInterpolated(Node):
    """Create evenly spaced keyframes whose hook strength goes from a start to an end value."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _scheduling(
            "CreateHookKeyframesInterpolated",
            "Create Hook Keyframes Interp.",
            io.Float.Input("strength_start", default=1.0, min=0.0, max=10.0, step=0.001),
            io.Float.Input("strength_end", default=1.0, min=0.0, max=10.0, step=0.001),
            io.Combo.Input("interpolation", list(_EASINGS)),
            _percent("start_percent", 0.0),
            _percent("end_percent", 1.0),
            io.Int.Input("keyframes_count", default=5, min=2, max=100, step=1),
            io.Boolean.Input("print_keyframes", default=False),
        )

    @classmethod
    def execute(
        cls,
        strength_start: float,
        strength_end: float,
        interpolation: str,
        start_percent: float,
        end_percent: float,
        keyframes_count: int,
        print_keyframes: bool = False,
        prev_hook_kf: Keyframes = (),
    ) -> NodeOutput:
        ease = _EASINGS[interpolation]
        positions = [index / (keyframes_count - 1) for index in range(keyframes_count)]
        strengths = [strength_start + (strength_end - strength_start) * ease(position) for position in positions]
        return _evenly_spaced(strengths, start_percent, end_percent, prev_hook_kf, shows=print_keyframes)


_EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda position: position,
    "ease_in": lambda position: position**2,
    "ease_out": lambda position: 1 - (1 - position) ** 2,
    "ease_in_out": lambda position: 3 * position**2 - 2 * position**3,
}


class CreateHookKeyframesFromFloats(Node):
    """Create evenly spaced keyframes with hook strengths from a list."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _scheduling(
            "CreateHookKeyframesFromFloats",
            "Create Hook Keyframes From Floats",
            io.Floats.Input("floats_strength", default=-1, min=-1, step=0.001, force_input=True),
            _percent("start_percent", 0.0),
            _percent("end_percent", 1.0),
            io.Boolean.Input("print_keyframes", default=False),
        )

    @classmethod
    def execute(
        cls,
        floats_strength: float | list[float],
        start_percent: float,
        end_percent: float,
        print_keyframes: bool = False,
        prev_hook_kf: Keyframes = (),
    ) -> NodeOutput:
        strengths = floats_strength if isinstance(floats_strength, list | tuple) else [floats_strength]
        numbers = [float(strength) for strength in strengths]
        return _evenly_spaced(numbers, start_percent, end_percent, prev_hook_kf, shows=print_keyframes)


def _evenly_spaced(strengths: list[float], start: float, end: float, before: Keyframes, *, shows: bool) -> NodeOutput:
    apart = (end - start) / max(1, len(strengths) - 1)
    frames = tuple(Keyframe(start + apart * index, strength) for index, strength in enumerate(strengths))
    if shows:
        current().show_text("\n".join(f"{frame.start:.3f}: {frame.strength:.3f}" for frame in frames))
    return NodeOutput((*(before or ()), *frames))


class SetHookKeyframes(Node):
    """Set the keyframes that schedule the strength of hooks."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SetHookKeyframes",
            display_name="Set Hook Keyframes",
            category=f"{_ROOT}/scheduling",
            inputs=[io.Hooks.Input("hooks"), io.HookKeyframes.Input("hook_kf", optional=True)],
            outputs=[io.Hooks.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, hooks: HookGroup, hook_kf: Keyframes | None = None) -> NodeOutput:
        return NodeOutput(hooks if hook_kf is None else hooks.with_keyframes(hook_kf))
