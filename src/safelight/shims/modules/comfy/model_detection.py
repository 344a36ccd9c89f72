"""Detect the model in a state dict, by names and shapes alone, so that a file's header is enough. UNets in latent
diffusion's layout are recognized; anything else does not match."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar

from safelight.models.unet.shape import ResidualShape, TransformerShape, unet_shape
from safelight.shims.absent import absent_attributes

__getattr__ = absent_attributes(__name__)

_PREFIXES = ("model.diffusion_model.", "model.model.", "net.")
_ENOUGH_NAMES = 5
_DEFAULT_PREFIX = "model."


class ModelType(Enum):
    EPS = 1
    V_PREDICTION = 2
    V_PREDICTION_EDM = 3
    EDM = 5


class ModelConfig:
    """``unet_config``: the result of :func:`detect_unet_config`. Packs read the name of its class."""

    wanted: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, unet_config: Mapping[str, Any]) -> None:
        self.unet_config = dict(unet_config)

    def model_type(self, state_dict: Mapping[str, Any], prefix: str = "") -> ModelType:
        return ModelType.EPS

    def inpaint_model(self) -> bool:
        return bool(self.unet_config["in_channels"] > 4)


def _kind(name: str, wanted: Mapping[str, Any], base: type[ModelConfig] = ModelConfig) -> type[ModelConfig]:
    return type(name, (base,), {"wanted": wanted, "__module__": "comfy.supported_models"})


_XL_NETWORK: dict[str, Any] = {
    "model_channels": 320,
    "context_dim": 2048,
    "adm_in_channels": 2816,
    "use_linear_in_transformer": True,
}


class _XL(ModelConfig):
    def model_type(self, state_dict: Mapping[str, Any], prefix: str = "") -> ModelType:
        """Detect the type by marker keys in the file."""
        if "edm_mean" in state_dict and "edm_std" in state_dict:
            return ModelType.EDM
        if "edm_vpred.sigma_max" in state_dict:
            return ModelType.V_PREDICTION_EDM
        return ModelType.V_PREDICTION if "v_pred" in state_dict else ModelType.EPS


_OLD: dict[str, Any] = {
    "model_channels": 320,
    "context_dim": 768,
    "adm_in_channels": None,
    "use_linear_in_transformer": False,
}
_SD2: dict[str, Any] = {"model_channels": 320, "context_dim": 1024, "use_linear_in_transformer": True}

_REFINER: dict[str, Any] = {
    "model_channels": 384,
    "context_dim": 1280,
    "adm_in_channels": 2560,
    "use_linear_in_transformer": True,
    "transformer_depth": [0, 0, 4, 4, 4, 4, 0, 0],
}

_KINDS = (
    _kind("SD15_instructpix2pix", _OLD | {"in_channels": 8}),
    _kind("SD15", _OLD),
    _kind("SD20", _SD2 | {"adm_in_channels": None}),
    _kind("SD21UnclipL", _SD2 | {"adm_in_channels": 1536}),
    _kind("SD21UnclipH", _SD2 | {"adm_in_channels": 2048}),
    _kind("SDXL_instructpix2pix", _XL_NETWORK | {"in_channels": 8, "transformer_depth": [0, 0, 2, 2, 10, 10]}, _XL),
    _kind("SDXLRefiner", _REFINER),
    _kind("SDXL", _XL_NETWORK | {"transformer_depth": [0, 0, 2, 2, 10, 10]}, _XL),
    _kind("SSD1B", _XL_NETWORK | {"transformer_depth": [0, 0, 2, 2, 4, 4]}, _XL),
    _kind("KOALA_700M", _XL_NETWORK | {"transformer_depth": [0, 2, 5]}, _XL),
    _kind("KOALA_1B", _XL_NETWORK | {"transformer_depth": [0, 2, 6]}, _XL),
    _kind("Segmind_Vega", _XL_NETWORK | {"transformer_depth": [0, 0, 1, 1, 2, 2]}, _XL),
)


def unet_prefix_from_state_dict(state_dict: Mapping[str, Any]) -> str:
    """Return the prefix of the diffusion network's names."""
    counts = {prefix: sum(name.startswith(prefix) for name in state_dict) for prefix in _PREFIXES}
    most = max(_PREFIXES, key=counts.__getitem__)
    return most if counts[most] > _ENOUGH_NAMES else _DEFAULT_PREFIX


def detect_unet_config(
    state_dict: Mapping[str, Any], key_prefix: str, metadata: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Return the configuration of the UNet under ``key_prefix``, with latent diffusion's names; ``None`` for any other
    network. Values of ``state_dict`` only need a ``shape``."""
    shapes = {
        name.removeprefix(key_prefix): value.shape
        for name, value in state_dict.items()
        if name.startswith(key_prefix) and hasattr(value, "shape")
    }
    try:
        unet = unet_shape(shapes)
    except (KeyError, ValueError, TypeError):
        return None
    transformers = [part for block in unet.inputs for part in block if isinstance(part, TransformerShape)]
    return {
        "image_size": 32,
        "use_spatial_transformer": True,
        "adm_in_channels": unet.vector or None,
        "in_channels": unet.in_channels,
        "out_channels": unet.out_channels,
        "model_channels": unet.channels,
        "transformer_depth": _depths(unet.inputs),
        "transformer_depth_output": _depths(unet.outputs[::-1]),
        "transformer_depth_middle": next((p.depth for p in unet.middle if isinstance(p, TransformerShape)), -1),
        "context_dim": unet.context or None,
        "use_linear_in_transformer": any(part.is_linear for part in transformers),
        "use_temporal_attention": False,
        "use_temporal_resblock": False,
    }


def model_config_from_unet_config(
    unet_config: Mapping[str, Any], state_dict: Mapping[str, Any] | None = None
) -> ModelConfig | None:
    """Return the model with this configuration; ``None`` if there is none."""
    for kind in _KINDS:
        if all(unet_config.get(name) == value for name, value in kind.wanted.items()):
            return kind(unet_config)
    return None


def model_config_from_unet(
    state_dict: Mapping[str, Any],
    unet_key_prefix: str,
    use_base_if_no_match: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> ModelConfig | None:
    config = detect_unet_config(state_dict, unet_key_prefix, metadata)
    if config is None:
        return None
    found = model_config_from_unet_config(config, state_dict)
    return ModelConfig(config) if found is None and use_base_if_no_match else found


def _depths(blocks: Any) -> list[int]:
    """Return the number of transformer blocks after each residual block."""
    return [
        next((part.depth for part in block if isinstance(part, TransformerShape)), 0)
        for block in blocks
        if isinstance(block[0], ResidualShape)
    ]
