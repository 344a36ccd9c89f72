"""Absent parts can be named, subclassed and compared, but not used."""

from abc import ABC

import pytest

from safelight.sdk.v1 import adapt
from safelight.shims.absent import AbsentModule, NotSupported, absent

VAE = absent("comfy.sd.VAE")


def test_use_says_what_is_missing() -> None:
    with pytest.raises(NotSupported, match=r"comfy\.sd\.VAE is a part of ComfyUI's own engine"):
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

    with pytest.raises(NotSupported, match=r"nodes\.LoraLoader is a part of ComfyUI's own engine"):
        adapt(Loader, node_id="Loader")
