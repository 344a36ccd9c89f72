"""Parse the keys of a LoRA file: the module and the part of its change. A part has one name here in every dialect.

=================  =====================================================================================
dialect            a module's parts, after its name
=================  =====================================================================================
kohya, OneTrainer  ``.lora_down.weight .lora_up.weight .lora_mid.weight .alpha .dora_scale``
PEFT               ``.lora_A.weight .lora_B.weight .lora_magnitude_vector``, some with ``.default`` inside
diffusers          ``.lora.down.weight``, ``_lora.down.weight``, ``.lora_linear_layer.down.weight``; ``up``
LyCORIS            ``.hada_*`` (LoHa), ``.lokr_*`` (LoKr), ``.diff .diff_b`` (full), ``.w_norm .b_norm``
=================  =====================================================================================
"""

import re

_DIFFUSERS = r"(?:[._]lora|\.lora_linear_layer)"

_ENDINGS = {
    "down": rf"\.lora_down\.weight|\.lora_A(?:\.default)?\.weight|{_DIFFUSERS}\.down\.weight",
    "up": rf"\.lora_up\.weight|\.lora_B(?:\.default)?\.weight|{_DIFFUSERS}\.up\.weight",
    "mid": r"\.lora_mid\.weight",
    "alpha": r"\.alpha",
    "magnitude": r"\.dora_scale|\.lora_magnitude_vector(?:\.default)?(?:\.weight)?",
    "diff": r"\.diff|\.w_norm",
    "diff_b": r"\.diff_b|\.b_norm",
}

_FACTORS = (r"\.(hada_(?:w[12]_[ab]|t[12]))", r"\.(lokr_(?:w[12](?:_[ab])?|t2))")
"""Parts that keep the dialect's own names."""

_KEY = re.compile(
    r"(?P<module>.+?)(?:" + "|".join([*(f"(?P<{part}>{ending})" for part, ending in _ENDINGS.items()), *_FACTORS]) + ")"
)


def parsed(key: str) -> tuple[str, str] | None:
    """``(module, part)``, the module as the file names it; ``None`` for a key of no known dialect."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    own = next((name for name in found.groups()[-len(_FACTORS) :] if name), None)
    return found["module"], own or next(part for part in _ENDINGS if found[part])
