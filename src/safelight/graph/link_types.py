"""Which output may feed which input: exact names, ``*``, unions such as ``IMAGE,MASK``, and match types.

Two unions fit when they have a member in common, as ComfyUI judges them: what really arrives is known at run time only.
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
"""Types whose values no client can write down: a literal in their place is a mistake that is told before the run."""


def members(type_name: str) -> frozenset[str]:
    return frozenset(part.strip() for part in type_name.split(","))


def fits(received: str, wanted: str) -> bool:
    """Whether an output of type ``received`` may feed an input of type ``wanted``."""
    if received == wanted or ANY in (received, wanted):
        return True
    have, want = members(received), members(wanted)
    return ANY in have or ANY in want or not have.isdisjoint(want)


def wanted_type(declared: InputSchema) -> str:
    """What an input takes: of a match type the types that its template allows."""
    if declared.type == MATCH_TYPE:
        return str((declared.config.get("template") or {}).get("allowed_types") or ANY)
    return declared.type


def needs_link(declared: InputSchema) -> bool:
    """Whether only a link can give the input a value."""
    return members(wanted_type(declared)) <= LINK_ONLY


def template_id(declared: InputSchema) -> str | None:
    """The template by which a match-type input is tied to others and to outputs."""
    if declared.type != MATCH_TYPE:
        return None
    found = (declared.config.get("template") or {}).get("template_id")
    return None if found is None else str(found)


def given_type(output: OutputSchema, linked: Iterable[tuple[str | None, str]]) -> str:
    """The type of an output in a graph. ``linked``: for each linked input its template and the type that arrives there.

    A match-type output has the types that arrive at the inputs of its template, or any where none is linked.
    """
    if output.type != MATCH_TYPE:
        return output.type
    arriving = {kind for template, kind in linked if template is not None and template == output.match_template}
    if not arriving or any(ANY in members(kind) for kind in arriving):
        return ANY
    return ",".join(sorted({name for kind in arriving for name in members(kind)}))
