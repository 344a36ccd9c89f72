"""Which output may feed which input: exact names, ``*``, unions such as ``IMAGE,MASK``, and match types.

Two unions fit if they have a member in common, as in ComfyUI: the actual type is known at run time only.
"""

from collections.abc import Iterable

from safelight.core.node import ANY, InputSchema, OutputSchema

MATCH_TYPE = "COMFY_MATCHTYPE_V3"
COMBO = "COMBO"

_LINK_ONLY = """
    IMAGE MASK LATENT CONDITIONING MODEL CLIP VAE CONTROL_NET CLIP_VISION CLIP_VISION_OUTPUT STYLE_MODEL GLIGEN
    UPSCALE_MODEL LATENT_UPSCALE_MODEL SAMPLER SIGMAS NOISE GUIDER AUDIO AUDIO_ENCODER AUDIO_ENCODER_OUTPUT VIDEO
    HOOKS HOOK_KEYFRAMES TIMESTEPS_RANGE LATENT_OPERATION LORA_MODEL LOSS_MAP MODEL_PATCH PHOTOMAKER MESH VOXEL SVG
    TRACKS
"""

LINK_ONLY = frozenset(_LINK_ONLY.split())
"""Types whose values cannot be written as literals: a literal there is reported as an error before the run."""


def members(type_name: str) -> frozenset[str]:
    return frozenset(part.strip() for part in type_name.split(","))


def fits(received: str, wanted: str) -> bool:
    """Return whether an output of type ``received`` may feed an input of type ``wanted``."""
    if received == wanted or ANY in (received, wanted):
        return True
    have, want = members(received), members(wanted)
    return ANY in have or ANY in want or not have.isdisjoint(want)


def wanted_type(declared: InputSchema) -> str:
    """Return the types that an input takes; for a match type those that its template allows."""
    if declared.type == MATCH_TYPE:
        return str((declared.config.get("template") or {}).get("allowed_types") or ANY)
    return declared.type


def needs_link(declared: InputSchema) -> bool:
    """Return whether the input takes links only."""
    return members(wanted_type(declared)) <= LINK_ONLY


def template_id(declared: InputSchema) -> str | None:
    """Return the template that a match-type input shares with other inputs and outputs; ``None`` for other types."""
    if declared.type != MATCH_TYPE:
        return None
    found = (declared.config.get("template") or {}).get("template_id")
    return None if found is None else str(found)


def output_type(output: OutputSchema, linked: Iterable[tuple[str | None, str]]) -> str:
    """Return the type of an output in a graph. ``linked``: for each linked input its template and the type of its
    source.

    A match-type output has the types of the sources linked to its template, or any type if none is linked.
    """
    if output.type != MATCH_TYPE:
        return output.type
    arriving = {kind for template, kind in linked if template is not None and template == output.match_template}
    if not arriving or any(ANY in members(kind) for kind in arriving):
        return ANY
    return ",".join(sorted({name for kind in arriving for name in members(kind)}))
