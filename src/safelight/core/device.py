"""Devices by name: ``cpu``, ``cuda``, ``cuda:0``, ``xpu:0``, ``mps`` ..."""

from collections.abc import Mapping


def visible_devices(device: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that let a process see this device only. Set them before anything imports torch.

    ``environment``: the process's own; a device is counted among those that are visible in it.
    """
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return {"CUDA_VISIBLE_DEVICES": ""}
    if kind == "cuda" and index:
        visible = environment.get("CUDA_VISIBLE_DEVICES")
        return {"CUDA_VISIBLE_DEVICES": visible.split(",")[int(index)] if visible else index}
    if kind == "xpu" and index:
        visible = environment.get("ZE_AFFINITY_MASK")
        return {"ZE_AFFINITY_MASK": visible.split(",")[int(index)] if visible else index}
    return {}
