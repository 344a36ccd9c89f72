"""The devices of a machine, from the files of their drivers, and as many workers."""

from pathlib import Path

import pytest

from safelight import settings as sources
from safelight.core.device import visible_devices
from safelight.settings import InvalidSetting, find_devices


def write(root: Path, path: str, text: str = "") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_nvidias_devices_are_read_from_the_driver(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm", "null"):
        write(tmp_path, f"dev/{name}")
    assert find_devices(tmp_path) == ["cuda:0", "cuda:2", "cuda:10"]
    assert find_devices(tmp_path / "nothing") == []


def test_amds_devices_are_nodes_with_vector_units(tmp_path: Path) -> None:
    """The processors are nodes too."""
    for number, units in enumerate((0, 0, 304, 120)):
        text = f"cpu_cores_count {64 if not units else 0}\nsimd_count {units}\nvendor_id 4098\n"
        write(tmp_path, f"sys/class/kfd/kfd/topology/nodes/{number}/properties", text)
    assert find_devices(tmp_path) == [], "without the driver's own file no program can use them"
    write(tmp_path, "dev/kfd")
    assert find_devices(tmp_path) == ["cuda:0", "cuda:1"], "torch names them so"


def test_intels_cards_for_computing_are_found_and_its_other_graphics_are_not(tmp_path: Path) -> None:
    for number, (vendor, kind) in enumerate([("0x8086", "0x030000"), ("0x8086", "0x038000"), ("0x1002", "0x038000")]):
        write(tmp_path, f"sys/class/drm/renderD{128 + number}/device/vendor", f"{vendor}\n")
        write(tmp_path, f"sys/class/drm/renderD{128 + number}/device/class", f"{kind}\n")
    assert find_devices(tmp_path) == ["xpu:0"]


def test_a_process_sees_its_own_device_only() -> None:
    assert visible_devices("cuda:1", {}) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert visible_devices("xpu:1", {"ZE_AFFINITY_MASK": "2,3"}) == {"ZE_AFFINITY_MASK": "3"}
    assert visible_devices("mps", {}) == {}


def test_automatic_workers_are_one_for_each_device() -> None:
    here = len(find_devices()) or 1
    assert sources.load(overrides={"workers": "auto"}, environment={}).workers.workers == here
    assert sources.load(overrides={}, environment={"SAFELIGHT_WORKERS": "auto"}).workers.workers == here
    some = {"SAFELIGHT_WORKERS": "auto", "SAFELIGHT_DEVICES": "cuda:1,cuda:3"}
    assert sources.load(overrides={}, environment=some).workers.workers == 2


def test_the_devices_of_a_cluster_are_not_those_of_this_machine() -> None:
    with pytest.raises(InvalidSetting, match="auto"):
        sources.load(overrides={"workers": "auto"}, environment={"SAFELIGHT_BACKEND": "ray"})
    with pytest.raises(InvalidSetting, match="workers"):
        sources.load(overrides={"workers": "many"}, environment={})
