"""Absent parts can be named, subclassed and compared, but not used; a test for one says that it is absent."""

import logging
import subprocess
import sys
from abc import ABC
from collections.abc import Callable
from typing import Any

import pytest

from safelight.sdk.v1 import adapt
from safelight.shims.absent import AbsentModule, NotSupported, absent

VAE = absent("comfy.sd.VAE")


def test_use_says_what_is_missing() -> None:
    with pytest.raises(NotSupported, match=r"comfy\.sd\.VAE needs ComfyUI's models; runs on a ComfyUI engine"):
        VAE(1, device="cpu")
    with pytest.raises(NotSupported, match=r"comfy\.sd\.VAE\.decode"):
        VAE.decode()


def test_packs_subclass_it_beside_other_bases() -> None:
    class Mine(VAE, ABC):  # type: ignore[misc, valid-type]
        size = 4

    assert Mine.size == 4
    with pytest.raises(NotSupported, match=r"comfy\.sd\.VAE"):
        Mine()


def test_nothing_is_an_instance_of_it() -> None:
    assert not isinstance(3, VAE)
    assert (VAE | None) is not None


def test_an_absent_module_has_no_dunder_names() -> None:
    module = AbsentModule("comfy.ldm.flux")
    assert module.layers.__name__ == "layers"
    with pytest.raises(AttributeError):
        _ = module.__wrapped__


def test_a_subclass_of_an_absent_node_reports_it() -> None:
    class Loader(absent("nodes.LoraLoader")):  # type: ignore[misc]
        RETURN_TYPES = ("MODEL",)

    with pytest.raises(NotSupported, match=r"nodes\.LoraLoader needs ComfyUI's own nodes"):
        adapt(Loader, node_id="Loader")


def test_samplers_are_said_to_be_missing() -> None:
    with pytest.raises(NotSupported, match=r"KSampler needs ComfyUI's samplers; runs on a ComfyUI engine"):
        absent("comfy.samplers.KSampler")()


@pytest.fixture
def look() -> Callable[[str], Any]:
    """Runs a pack's code with an absent module ``comfy.sample`` as ``module``, and returns its ``found``."""
    module = AbsentModule("comfy.sample")

    def run(code: str) -> Any:
        names: dict[str, Any] = {"__name__": "custom_nodes.some_pack", "module": module}
        exec(code, names)
        return names["found"]

    return run


def test_a_test_for_an_absent_name_says_that_it_is_absent(look: Callable[[str], Any]) -> None:
    assert look('found = hasattr(module, "prepare_noise")') is False
    assert look('found = getattr(module, "prepare_noise", None)') is None
    assert look('found = hasattr(module, "invented")') is False


def test_a_name_that_comfyui_has_can_be_used_as_a_base(look: Callable[[str], Any]) -> None:
    assert look("found = module.prepare_noise").__name__ == "prepare_noise"
    assert look("class found(module.prepare_noise): pass").__name__ == "found"


def test_a_name_that_nobody_has_is_an_error_and_one_line_in_the_log(
    look: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with pytest.raises(AttributeError, match=r"module 'comfy\.sample' has no attribute 'nobody_has_this'"):
                look("found = module.nobody_has_this")
    assert [r.getMessage() for r in caplog.records] == [
        "custom_nodes.some_pack asked for comfy.sample.nobody_has_this, which this server does not have"
    ]


def test_an_import_of_a_newer_name_does_not_end_the_import_of_the_pack() -> None:
    code = """
from safelight.shims.install import install
install()
names = {"__name__": "custom_nodes.some_pack"}
exec("from comfy.sample import newer_than_we_know as found; from comfy import newer_module", names)
print(names["found"].__name__, hasattr(__import__("comfy"), "newer"), hasattr(__import__("nodes"), "Newer"))
try:
    __import__("comfy").newest
except AttributeError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "newer_than_we_know False False",
        "module 'comfy' has no attribute 'newest'",
    ]
    assert "custom_nodes.some_pack asked for comfy.sample.newer_than_we_know" in ran.stderr
