"""Progress, scaling in tiles, batches, and weights in safetensors files."""

import itertools
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from safelight.media.weights_format import WeightsFormat, check_weights
from safelight.nodes.image import resampling
from safelight.nodes.latent.bislerp import bislerp as _bislerp
from safelight.sdk.context import Context, current
from safelight.shims.absent import NotSupported, absent_attributes

__getattr__ = absent_attributes(__name__)

MMAP_TORCH_FILES = False
DISABLE_MMAP = False
PROGRESS_BAR_ENABLED = True
PROGRESS_BAR_HOOK: Callable[..., None] | None = None

_MAX_HEADER = 100 * 1024 * 1024


def set_progress_bar_enabled(enabled: bool) -> None:
    global PROGRESS_BAR_ENABLED
    PROGRESS_BAR_ENABLED = enabled


def set_progress_bar_global_hook(function: Callable[..., None] | None) -> None:
    global PROGRESS_BAR_HOOK
    PROGRESS_BAR_HOOK = function


class ProgressBar:
    """The progress of the call in which it was created; other threads can update it. Mutable."""

    def __init__(self, total: float, node_id: str | None = None) -> None:
        self.total = total
        self.current: float = 0
        self.hook = PROGRESS_BAR_HOOK
        self.node_id = node_id
        self._context = _context()

    def update_absolute(self, value: float, total: float | None = None, preview: Any = None) -> None:
        """``preview``: a PIL image, or ``(format, PIL image, largest side)``."""
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        if self.hook is not None:
            self.hook(self.current, self.total, preview, node_id=self.node_id)
        if self._context is not None:
            self._context.progress(self.current, self.total, preview=_picture(preview))

    def update(self, value: float) -> None:
        self.update_absolute(self.current + value)


def _context() -> Context | None:
    try:
        return current()
    except RuntimeError:
        return None


def _picture(preview: Any) -> Image.Image | None:
    if isinstance(preview, tuple | list):
        preview = next((item for item in preview if isinstance(item, Image.Image)), None)
    return preview if isinstance(preview, Image.Image) else None


# -- sizes --


def common_upscale(
    samples: torch.Tensor, width: int, height: int, upscale_method: str, crop: str = "disabled"
) -> torch.Tensor:
    """Scale ``[B, C, H, W]`` (or ``[B, C, T, H, W]``, frame by frame) to the size."""
    if samples.ndim == 5:
        batch, channels, frames = samples.shape[:3]
        planes = samples.movedim(2, 1).reshape(-1, channels, *samples.shape[3:])
        scaled = common_upscale(planes, width, height, upscale_method, crop)
        return scaled.reshape(batch, frames, channels, height, width).movedim(1, 2)
    if upscale_method == "bislerp":
        if crop == "center":
            samples = resampling.crop_to_aspect(samples, width, height)
        return _bislerp(samples, width, height)
    return resampling.resize_planes(samples, width, height, method=upscale_method, crop=crop)


def lanczos(samples: torch.Tensor, width: int, height: int) -> torch.Tensor:
    return resampling.resize_planes(samples, width, height, method="lanczos")


def bislerp(samples: torch.Tensor, width: int, height: int) -> torch.Tensor:
    return _bislerp(samples, width, height)


def repeat_to_batch_size(tensor: torch.Tensor, batch_size: int, dim: int = 0) -> torch.Tensor:
    """Cut the tensor, or repeat it from its start, to ``batch_size`` along ``dim``."""
    if tensor.shape[dim] < batch_size:
        repeats = [1] * tensor.ndim
        repeats[dim] = math.ceil(batch_size / tensor.shape[dim])
        tensor = tensor.repeat(repeats)
    return tensor.narrow(dim, 0, batch_size)


def resize_to_batch_size(tensor: torch.Tensor, batch_size: int) -> torch.Tensor:
    """Pick ``batch_size`` items at even distances, the first and the last included."""
    count = tensor.shape[0]
    if count == batch_size:
        return tensor
    if batch_size <= 1:
        return tensor[:batch_size]
    last = count - 1
    return tensor[[min(round(i * last / (batch_size - 1)), last) for i in range(batch_size)]]


def reshape_mask(input_mask: torch.Tensor, output_shape: Sequence[int]) -> torch.Tensor:
    """Scale a mask to a latent of ``output_shape`` ``[B, C, H, W]``, and expand it to its channels and batch."""
    mask = input_mask.reshape(-1, 1, *input_mask.shape[-2:])
    mask = torch.nn.functional.interpolate(mask, size=tuple(output_shape[-2:]), mode="bilinear")
    return repeat_to_batch_size(mask.expand(-1, output_shape[1], -1, -1), output_shape[0])


# -- tiles --


def get_tiled_scale_steps(width: int, height: int, tile_x: int, tile_y: int, overlap: int) -> int:
    """Return the number of tiles that :func:`tiled_scale` makes of one picture."""
    return len(_starts(height, tile_y, overlap)) * len(_starts(width, tile_x, overlap))


def tiled_scale(
    samples: torch.Tensor,
    function: Callable[[torch.Tensor], torch.Tensor],
    tile_x: int = 64,
    tile_y: int = 64,
    overlap: int = 8,
    upscale_amount: float = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    pbar: ProgressBar | None = None,
) -> torch.Tensor:
    """Apply ``function`` to ``[B, C, H, W]`` in tiles, and blend them where they overlap."""
    return tiled_scale_multidim(
        samples, function, (tile_y, tile_x), overlap, upscale_amount, out_channels, output_device, pbar=pbar
    )


def tiled_scale_multidim(
    samples: torch.Tensor,
    function: Callable[[torch.Tensor], torch.Tensor],
    tile: Sequence[int] = (64, 64),
    overlap: int | Sequence[int] = 8,
    upscale_amount: Any = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    downscale: bool = False,
    index_formulas: Any = None,
    pbar: ProgressBar | None = None,
) -> torch.Tensor:
    """Apply ``function`` to ``[B, C, *sizes]`` in tiles of ``tile``. Amounts can be numbers or functions, for all
    dimensions or one per dimension."""
    dims = len(tile)
    overlaps = _each(overlap, dims)
    amounts = _each(upscale_amount, dims)

    def scaled(size: float, dim: int, amounts: Sequence[Any] = amounts) -> int:
        amount = amounts[dim]
        if callable(amount):
            return int(amount(size))
        made: int = round(size / amount if downscale else size * amount)
        return made

    formulas = _each(index_formulas, dims) if index_formulas is not None else amounts
    sizes = samples.shape[2:]
    out_sizes = [scaled(size, d) for d, size in enumerate(sizes)]
    output = torch.empty((len(samples), out_channels, *out_sizes), device=output_device)
    for item in range(len(samples)):
        total = torch.zeros((1, out_channels, *out_sizes), device=output_device)
        weight = torch.zeros_like(total)
        starts = (_starts(size, tile[d], overlaps[d]) for d, size in enumerate(sizes))
        for corner in itertools.product(*starts):
            part = samples[item : item + 1]
            for d, at in enumerate(corner):
                part = part.narrow(d + 2, at, min(tile[d], sizes[d] - at))
            made = function(part).to(output_device)
            mask = torch.ones_like(made)
            place = [slice(None), slice(None)]
            for d, at in enumerate(corner):
                mask *= _ramp(made.shape[d + 2], scaled(overlaps[d], d), d + 2, mask)
                begin = max(0, scaled(at, d, formulas))
                place.append(slice(begin, begin + made.shape[d + 2]))
            total[tuple(place)] += made * mask
            weight[tuple(place)] += mask
            if pbar is not None:
                pbar.update(1)
        output[item : item + 1] = total / weight
    return output


def _each(value: Any, count: int) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value] * count


def _starts(size: int, tile: int, overlap: int) -> list[int]:
    if size <= tile:
        return [0]
    step = max(1, tile - overlap)
    return [min(at, size - tile) for at in range(0, size - overlap, step)]


def _ramp(size: int, feather: int, dim: int, like: torch.Tensor) -> torch.Tensor:
    """Return weights that rise from the edges of a tile to 1 within ``feather``, along ``dim``."""
    feather = min(feather, size)
    weights = torch.ones(size, device=like.device, dtype=like.dtype)
    if feather > 0:
        rise = torch.arange(1, feather + 1, device=like.device, dtype=like.dtype) / feather
        weights[:feather] = torch.minimum(weights[:feather], rise)
        weights[size - feather :] = torch.minimum(weights[size - feather :], rise.flip(0))
    return weights.reshape([size if d == dim else 1 for d in range(like.ndim)])


# -- weights --


def load_torch_file(ckpt: Any, safe_load: bool = False, device: Any = None, return_metadata: bool = False) -> Any:
    """Return the tensors of a safetensors file.

    Raises :class:`~safelight.media.weights_format.PickledWeights` for a pickle, whatever its name, and
    :class:`NotSupported` for GGUF, whose quantized blocks this function cannot represent."""
    path = Path(ckpt)
    if check_weights(path) is not WeightsFormat.SAFETENSORS:
        raise NotSupported(f"{path.name} is a GGUF file; use a safetensors file of the model")
    from safetensors import safe_open

    with safe_open(path, framework="pt", device=str(device or "cpu")) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        return (tensors, file.metadata()) if return_metadata else tensors


def save_torch_file(sd: Mapping[str, torch.Tensor], ckpt: str, metadata: Mapping[str, str] | None = None) -> None:
    from safetensors.torch import save_file

    save_file(dict(sd), ckpt, metadata=dict(metadata) if metadata is not None else None)


def safetensors_header(safetensors_path: str, max_size: int = _MAX_HEADER) -> bytes | None:
    """Return the JSON at the start of the file; ``None`` if it is longer than ``max_size`` bytes."""
    with open(safetensors_path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return file.read(length) if length <= max_size else None


def calculate_parameters(sd: Mapping[str, torch.Tensor], prefix: str = "") -> int:
    return sum(value.nelement() for name, value in sd.items() if name.startswith(prefix))


def weight_dtype(sd: Mapping[str, torch.Tensor], prefix: str = "") -> torch.dtype | None:
    """Return the most common type, by number of elements."""
    counts: dict[torch.dtype, int] = {}
    for name, value in sd.items():
        if name.startswith(prefix):
            counts[value.dtype] = counts.get(value.dtype, 0) + value.numel()
    return max(counts, key=lambda dtype: counts[dtype], default=None)


def state_dict_key_replace(state_dict: dict[str, Any], keys_to_replace: Mapping[str, str]) -> dict[str, Any]:
    for old, new in keys_to_replace.items():
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)
    return state_dict


def state_dict_prefix_replace(
    state_dict: dict[str, Any], replace_prefix: Mapping[str, str], filter_keys: bool = False
) -> dict[str, Any]:
    """Replace prefixes of names; with ``filter_keys``, return only the renamed entries, in a new dict."""
    out = {} if filter_keys else state_dict
    for old, new in replace_prefix.items():
        for name in [n for n in state_dict if n.startswith(old)]:
            out[new + name.removeprefix(old)] = state_dict.pop(name)
    return out


def get_attr(obj: Any, attr: str) -> Any:
    """Return a nested attribute: ``get_attr(model, "a.b.c")``."""
    for name in attr.split("."):
        obj = getattr(obj, name)
    return obj


def set_attr(obj: Any, attr: str, value: Any) -> Any:
    """Set a nested attribute and return its old value."""
    owner, _, name = attr.rpartition(".")
    holder = get_attr(obj, owner) if owner else obj
    before = getattr(holder, name)
    setattr(holder, name, value)
    return before


def set_attr_param(obj: Any, attr: str, value: torch.Tensor) -> Any:
    return set_attr(obj, attr, torch.nn.Parameter(value, requires_grad=False))


def copy_to_param(obj: Any, attr: str, value: torch.Tensor) -> None:
    get_attr(obj, attr).data.copy_(value)


def string_to_seed(data: bytes) -> int:
    """Return a 32-bit checksum."""
    import zlib

    return zlib.crc32(data)


def deepcopy_list_dict(obj: Any, memo: Any = None) -> Any:
    """Copy nested lists and dicts, but not their other values."""
    if isinstance(obj, dict):
        return {deepcopy_list_dict(k): deepcopy_list_dict(v) for k, v in obj.items()}
    if isinstance(obj, list):
        return [deepcopy_list_dict(v) for v in obj]
    return obj
