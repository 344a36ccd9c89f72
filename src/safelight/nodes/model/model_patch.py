"""Nodes that guide a transformer by images between its blocks (model patches)."""

import torch

from safelight.core.errors import Invalid
from safelight.models.control.model_patch import ControlPatch, EnteringPatch, Guide, ModelPatch, StylePatch
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.network_hooks import NetworkHooks
from safelight.models.sampling.guidance import TimedHooks, options_of
from safelight.models.vision.vision_encoder import VisionOutput
from safelight.sdk import Node, NodeOutput, Schema, io

_ModelPatch = io.Custom("MODEL_PATCH")
_STRENGTH = io.Float.Input("strength", default=1.0, min=-10.0, max=10.0, step=0.01)


class WrongModelPatch(Invalid):
    """A model patch of another kind than the node applies, or images that it does not take."""

    code = "wrong_model_patch"


class QwenImageDiffsynthControlnet(Node):
    """Guide Qwen-Image or Z-Image by an image, with a control patch of the model. "strength" scales what it adds;
    "mask" is where to paint, for patches that were trained to."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="QwenImageDiffsynthControlnet",
            category="advanced/loaders/qwen",
            inputs=[
                io.Model.Input("model"),
                _ModelPatch.Input("model_patch"),
                io.Vae.Input("vae"),
                io.Image.Input("image"),
                _STRENGTH,
                io.Mask.Input("mask", optional=True),
            ],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        model_patch: ModelPatch,
        vae: object,
        image: torch.Tensor,
        strength: float,
        mask: torch.Tensor | None = None,
    ) -> NodeOutput:
        return _guided(model, model_patch, Guide(vae, image=image, mask=mask, strength=strength))


class ZImageFunControlnet(Node):
    """Guide Z-Image by an image, with a Fun ControlNet. Version 2 can paint into "inpaint_image" as well, where "mask"
    is 1."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ZImageFunControlnet",
            category="advanced/loaders/zimage",
            inputs=[
                io.Model.Input("model"),
                _ModelPatch.Input("model_patch"),
                io.Vae.Input("vae"),
                _STRENGTH,
                io.Image.Input("image", optional=True),
                io.Image.Input("inpaint_image", optional=True),
                io.Mask.Input("mask", optional=True),
            ],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        model_patch: ModelPatch,
        vae: object,
        strength: float,
        image: torch.Tensor | None = None,
        inpaint_image: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> NodeOutput:
        return _guided(model, model_patch, Guide(vae, image, inpaint_image, mask, strength))


class USOStyleReference(Node):
    """Give Flux the style of an image, with USO's projector. The image is encoded by SigLIP."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="USOStyleReference",
            category="advanced/model_patches/flux",
            inputs=[
                io.Model.Input("model"),
                _ModelPatch.Input("model_patch"),
                io.ClipVisionOutput.Input("clip_vision_output"),
            ],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel, model_patch: ModelPatch, clip_vision_output: VisionOutput) -> NodeOutput:
        if not isinstance(model_patch, StylePatch):
            raise WrongModelPatch("this model patch guides by control images; USO needs its style projector")
        hook = model_patch.text_hook(clip_vision_output["all_hidden_states"])
        return NodeOutput(_hooked(model, NetworkHooks(text=(hook,))))


class AnimaLLLiteApply(Node):
    """Guide Anima by an image with an LLLite control, from "start_percent" to "end_percent" of sampling. "mask" is
    where to paint, for controls that were trained to."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="AnimaLLLiteApply",
            display_name="Apply Anima LLLite",
            category="advanced/model_patches/anima",
            inputs=[
                io.Model.Input("model"),
                _ModelPatch.Input("model_patch"),
                io.Image.Input("image"),
                _STRENGTH,
                io.Float.Input("start_percent", default=0.0, min=0.0, max=1.0, step=0.001),
                io.Float.Input("end_percent", default=1.0, min=0.0, max=1.0, step=0.001),
                io.Mask.Input("mask", optional=True),
            ],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        model_patch: ModelPatch,
        image: torch.Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
        mask: torch.Tensor | None = None,
    ) -> NodeOutput:
        if not isinstance(model_patch, EnteringPatch):
            raise WrongModelPatch("this model patch is no LLLite control; see QwenImageDiffsynthControlnet for others")
        levels, options = model.parameterization.levels, options_of(model)
        hooks = NetworkHooks(entering=(model_patch.entering_hook(image, mask, strength),))
        timed = TimedHooks(hooks, levels.sigma_at(start_percent), levels.sigma_at(end_percent))
        return NodeOutput(model.with_(options=options.with_(timed=(*options.timed, timed))) if strength else model)


def _guided(model: DiffusionModel, patch: ModelPatch, guide: Guide) -> NodeOutput:
    if not isinstance(patch, ControlPatch):
        raise WrongModelPatch("this model patch is a style projector, which the node USOStyleReference applies")
    if guide.image is None and (guide.painted is None or not patch.takes_painted):
        raise WrongModelPatch("no image: connect the image that guides the model")
    return NodeOutput(_hooked(model, NetworkHooks(tokens=(patch.hook(guide),))))


def _hooked(model: DiffusionModel, hooks: NetworkHooks) -> DiffusionModel:
    options = options_of(model)
    return model.with_(options=options.with_(hooks=options.hooks + hooks))
