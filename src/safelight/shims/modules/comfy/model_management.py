"""Devices, their memory, and interruption. A worker only sees the device of its slot."""

import enum
import gc
import os
from typing import Any

import torch

from safelight.sdk.context import Cancelled, current
from safelight.shims.absent import absent_attributes

__getattr__ = absent_attributes(__name__)


class VRAMState(enum.Enum):
    DISABLED = 0
    NO_VRAM = 1
    LOW_VRAM = 2
    NORMAL_VRAM = 3
    HIGH_VRAM = 4
    SHARED = 5


class CPUState(enum.Enum):
    GPU = 0
    CPU = 1
    MPS = 2


InterruptProcessingException = Cancelled
OOM_EXCEPTION = torch.OutOfMemoryError

_has_gpu = torch.cuda.is_available()

cpu_state = CPUState.GPU if _has_gpu else CPUState.CPU
vram_state = set_vram_to = VRAMState.NORMAL_VRAM if _has_gpu else VRAMState.DISABLED
current_loaded_models: list[Any] = []
lowvram_available = True
directml_enabled = False
xpu_available = npu_available = mlu_available = False
XFORMERS_IS_AVAILABLE = XFORMERS_ENABLED_VAE = False
ENABLE_PYTORCH_ATTENTION = True
DISABLE_SMART_MEMORY = False
FORCE_FP32 = False
EXTRA_RESERVED_VRAM = 0

_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)


# -- interruption --


def throw_exception_if_processing_interrupted() -> None:
    """Raise :class:`Cancelled` if the job was cancelled; does nothing outside a call."""
    try:
        context = current()
    except RuntimeError:
        return
    context.raise_if_cancelled()


def processing_interrupted() -> bool:
    try:
        throw_exception_if_processing_interrupted()
    except Cancelled:
        return True
    return False


def interrupt_current_processing(value: bool = True) -> None:
    """End the job of the node that calls this; other jobs are not affected."""
    if value:
        current()
        raise Cancelled


# -- devices --


def get_torch_device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if _has_gpu else torch.device("cpu")


def get_torch_device_name(device: torch.device) -> str:
    return f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type


def intermediate_device() -> torch.device:
    """Return the device of values between two nodes."""
    return torch.device("cpu")


unet_offload_device = text_encoder_offload_device = vae_offload_device = intermediate_device
text_encoder_device = vae_device = get_torch_device


def unet_inital_load_device(parameters: float, dtype: torch.dtype) -> torch.device:
    return intermediate_device()


def intermediate_dtype() -> torch.dtype:
    return torch.float32


def unet_dtype(device: Any = None, model_params: float = 0, supported_dtypes: Any = (), **_: Any) -> torch.dtype:
    return torch.float16 if _has_gpu else torch.float32


def text_encoder_dtype(device: Any = None) -> torch.dtype:
    return torch.float16 if _has_gpu else torch.float32


def vae_dtype(device: Any = None, allowed_dtypes: Any = ()) -> torch.dtype:
    return torch.float32


def unet_manual_cast(weight_dtype: torch.dtype, inference_device: Any, supported_dtypes: Any = ()) -> None:
    return None


def get_autocast_device(dev: Any) -> str:
    return str(getattr(dev, "type", "cuda"))


def is_device_type(device: Any, type: str) -> bool:
    return getattr(device, "type", None) == type


def is_device_cpu(device: Any) -> bool:
    return is_device_type(device, "cpu")


def is_device_cuda(device: Any) -> bool:
    return is_device_type(device, "cuda")


def is_device_mps(device: Any) -> bool:
    return is_device_type(device, "mps")


def is_nvidia() -> bool:
    return _has_gpu and torch.version.cuda is not None


def is_amd() -> bool:
    return _has_gpu and torch.version.hip is not None


def is_intel_xpu() -> bool:
    return False


is_ascend_npu = is_mlu = is_directml_enabled = is_intel_xpu


def cpu_mode() -> bool:
    return not _has_gpu


def mps_mode() -> bool:
    return False


def should_use_fp16(device: Any = None, *_: Any, **__: Any) -> bool:
    return _has_gpu and not is_device_cpu(device)


def should_use_bf16(device: Any = None, *_: Any, **__: Any) -> bool:
    return _has_gpu and not is_device_cpu(device) and torch.cuda.is_bf16_supported()


def supports_dtype(device: Any, dtype: torch.dtype) -> bool:
    return dtype == torch.float32 or not is_device_cpu(device)


def supports_cast(device: Any, dtype: torch.dtype) -> bool:
    return dtype not in _FLOAT8 or not is_device_cpu(device)


def device_supports_non_blocking(device: Any) -> bool:
    return is_device_cuda(device)


def device_should_use_non_blocking(device: Any) -> bool:
    return False


def dtype_size(dtype: torch.dtype) -> int:
    return dtype.itemsize


def cast_to(
    weight: torch.Tensor, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False
) -> torch.Tensor:
    return weight.to(dtype=dtype, device=device, non_blocking=non_blocking, copy=copy)


def cast_to_device(tensor: torch.Tensor, device: Any, dtype: Any, copy: bool = False) -> torch.Tensor:
    return tensor.to(device=device, dtype=dtype, copy=copy)


def xformers_enabled() -> bool:
    return False


xformers_enabled_vae = sage_attention_enabled = flash_attention_enabled = xformers_enabled


def pytorch_attention_enabled() -> bool:
    return True


def pytorch_attention_flash_attention() -> bool:
    return _has_gpu


def force_upcast_attention_dtype() -> None:
    return None


# -- memory --


def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
    """Return bytes; with ``torch_total_too`` also the bytes that torch has reserved."""
    device = dev if dev is not None else get_torch_device()
    if is_device_cuda(device):
        total = torch.cuda.mem_get_info(device)[1]
        return (total, torch.cuda.memory_reserved(device)) if torch_total_too else total
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (total, total) if torch_total_too else total


def get_free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
    """Return bytes; with ``torch_free_too`` also the bytes that torch has reserved and does not use."""
    device = dev if dev is not None else get_torch_device()
    if is_device_cuda(device):
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free = torch.cuda.mem_get_info(device)[0] + unused
        return (free, unused) if torch_free_too else free
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (free, free) if torch_free_too else free


total_ram = get_total_memory(torch.device("cpu")) / 1024**2
total_vram = get_total_memory() / 1024**2


def extra_reserved_memory() -> int:
    return EXTRA_RESERVED_VRAM


def minimum_inference_memory() -> int:
    return 1024**3


def maximum_vram_for_weights(device: Any = None) -> float:
    return float(get_total_memory(device)) * 0.88 - minimum_inference_memory()


def module_size(module: torch.nn.Module) -> int:
    return sum(t.nelement() * t.element_size() for t in module.state_dict().values())


def soft_empty_cache(force: bool = False) -> None:
    if _has_gpu:
        torch.cuda.empty_cache()


def free_memory(memory_required: float, device: Any, keep_loaded: Any = (), **_: Any) -> list[Any]:
    soft_empty_cache()
    return []


def unload_all_models() -> None:
    gc.collect()
    soft_empty_cache()


cleanup_models = cleanup_models_gc = unload_all_models


def loaded_models(only_currently_used: bool = False) -> list[Any]:
    return []
