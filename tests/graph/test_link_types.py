"""Which output may feed which input."""

import pytest

from safelight.core.node import InputSchema, OutputSchema
from safelight.graph.link_types import fits, needs_link, output_type, wanted_type

SWITCH = {"template": {"template_id": "t", "allowed_types": "IMAGE,MASK"}}


@pytest.mark.parametrize(
    ("received", "wanted", "does"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "LATENT", False),
        ("IMAGE", "*", True),
        ("*", "IMAGE", True),
        ("IMAGE", "IMAGE,MASK", True),
        ("IMAGE,MASK", "MASK", True),
        ("IMAGE,MASK", "MASK, LATENT", True),
        ("IMAGE,MASK", "LATENT,VAE", False),
        ("IMAGE", "LATENT,*", True),
        ("COMBO", "COMBO", True),
        ("STRING", "COMBO", False),
        ("INT", "FLOAT", False),
        ("image", "IMAGE", False),
    ],
)
def test_fits(received: str, wanted: str, does: bool) -> None:
    assert fits(received, wanted) is does


def test_a_match_type_accepts_the_types_of_its_template() -> None:
    assert wanted_type(InputSchema("a", "COMFY_MATCHTYPE_V3", config=SWITCH)) == "IMAGE,MASK"
    assert wanted_type(InputSchema("a", "COMFY_MATCHTYPE_V3", config={"template": {"template_id": "t"}})) == "*"


@pytest.mark.parametrize(
    ("linked", "given"),
    [
        ([], "*"),
        ([("t", "IMAGE")], "IMAGE"),
        ([("t", "MASK"), ("t", "IMAGE")], "IMAGE,MASK"),
        ([("t", "IMAGE"), ("t", "*")], "*"),
        ([("other", "LATENT"), (None, "VAE"), ("t", "MASK")], "MASK"),
    ],
)
def test_a_match_type_output_has_the_types_that_arrive(linked: list[tuple[str | None, str]], given: str) -> None:
    assert output_type(OutputSchema("COMFY_MATCHTYPE_V3", "out", match_template="t"), linked) == given
    assert output_type(OutputSchema("INT", "out"), linked) == "INT"


@pytest.mark.parametrize(
    ("kind", "needs"), [("IMAGE", True), ("IMAGE,MASK", True), ("IMAGE,STRING", False), ("*", False), ("CURVE", False)]
)
def test_only_types_without_literals_need_a_link(kind: str, needs: bool) -> None:
    assert needs_link(InputSchema("a", kind)) is needs
