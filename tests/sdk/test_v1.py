"""Adapted V1 classes: their declarations, with the oddities of real packs."""

import enum
from typing import Any

import numpy as np
import pytest

from safelight.api.comfy.object_info import node_info
from safelight.core.node import InputSchema, OutputSchema, Section
from safelight.sdk import Node
from safelight.sdk.plain import plain, plain_text
from safelight.sdk.v1 import V1Node, adapt


class AnyType(str):
    """A type that equals every other, as packs write it."""

    def __ne__(self, other: object) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class Mode(str, enum.Enum):  # noqa: UP042 (as packs write it)
    FAST = "fast"


class Full:
    DESCRIPTION = "Says all."
    CATEGORY = "a/b"
    RETURN_TYPES = ("IMAGE", ["x", "y"], AnyType("*"))
    RETURN_NAMES = ("picture", "choice")
    OUTPUT_IS_LIST = (False, True)
    OUTPUT_TOOLTIPS = ("the picture",)
    OUTPUT_NODE = True
    INPUT_IS_LIST = True
    DEPRECATED = True
    EXPERIMENTAL = True
    NOT_IDEMPOTENT = True
    SEARCH_ALIASES = ("other name",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {
            "required": {
                "image": ("IMAGE",),
                "mode": (["a", "b"], {"default": "a"}),
                "how": ("COMBO", {"options": (Mode.FAST,)}),
                "any": (AnyType("*"), {}),
                "n": ("INT", {"default": np.int64(3), "max": 2**64 - 1, "lazy": True}),
            },
            "optional": {"text": ("STRING", {"multiline": True, "callback": len})},
            "hidden": {"prompt": "PROMPT", "my_id": "UNIQUE_ID", "info": ("EXTRA_PNGINFO",)},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, mode: str, input_types: Any) -> bool:  # noqa: N802
        return True

    @classmethod
    def IS_CHANGED(cls, **kwargs: Any) -> float:  # noqa: N802
        return 1.0

    def run(self, **kwargs: Any) -> tuple[int]:
        return (1,)


def test_a_full_declaration_is_read() -> None:
    node = adapt(Full, node_id="Full+", display_name="The Full")
    assert issubclass(node, V1Node)
    assert issubclass(node, Node)
    schema = node.node_schema()
    assert schema.inputs == (
        InputSchema("image", "IMAGE"),
        InputSchema("mode", "COMBO", Section.REQUIRED, {"default": "a", "options": ["a", "b"]}),
        InputSchema("how", "COMBO", Section.REQUIRED, {"options": ["fast"]}),
        InputSchema("any", "*"),
        InputSchema("n", "INT", Section.REQUIRED, {"default": 3, "max": 2**64 - 1, "lazy": True}),
        InputSchema("text", "STRING", Section.OPTIONAL, {"multiline": True, "callback": str(len)}),
        InputSchema("prompt", "PROMPT", Section.HIDDEN),
        InputSchema("my_id", "UNIQUE_ID", Section.HIDDEN),
        InputSchema("info", "EXTRA_PNGINFO", Section.HIDDEN, {"form": ["EXTRA_PNGINFO"]}),
    )
    assert schema.outputs == (
        OutputSchema("IMAGE", "picture", False, "the picture"),
        OutputSchema("COMBO", "choice", True, options=("x", "y")),
        OutputSchema("*", "*"),
    )
    assert (schema.name, schema.display_name, schema.category) == ("Full+", "The Full", "a/b")
    assert (schema.description, schema.search_aliases) == ("Says all.", ("other name",))
    assert all((schema.is_output, schema.input_is_list, schema.listed_combos, schema.not_idempotent))
    assert all((schema.deprecated, schema.experimental, schema.has_validator, schema.has_fingerprint))
    assert (schema.validated_inputs, schema.validates_types) == (("mode",), True)


def test_types_are_plain_strings_so_that_they_can_be_compared_and_sent() -> None:
    schema = adapt(Full, node_id="Full").node_schema()
    texts = [i.type for i in schema.inputs] + [o.type for o in schema.outputs] + schema.inputs[2].config["options"]
    assert {type(text) for text in texts} == {str}
    assert schema.inputs[3].type != "IMAGE"


def test_a_minimal_declaration_is_enough() -> None:
    class Least:
        FUNCTION = "run"
        INPUT_TYPES = classmethod(lambda cls: {})

        def run(self) -> None: ...

    schema = adapt(Least, node_id="Least").node_schema()
    assert (schema.display_name, schema.inputs, schema.outputs, schema.is_output) == ("Least", (), (), False)


def test_a_class_without_its_function_is_rejected() -> None:
    class Lost:
        FUNCTION = "gone"
        INPUT_TYPES = classmethod(lambda cls: {})

    with pytest.raises(AttributeError, match="FUNCTION of Lost"):
        adapt(Lost, node_id="Lost")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ((1, 2.5, None, True), [1, 2.5, None, True]),
        ({"a": {3: AnyType("x")}}, {"a": {"3": "x"}}),
        ({"b", "a"}, ["a", "b"]),
        (range(2), [0, 1]),
        (Mode.FAST, "fast"),
        (np.float32(0.5), 0.5),
        (np.array([[7]]), 7),
    ],
)
def test_plain_data(value: object, said: object) -> None:
    assert plain(value) == said
    assert type(plain(value)) is type(said)


def test_plain_text_of_a_subclass() -> None:
    assert type(plain_text(AnyType("*"))) is str


def test_a_hidden_input_is_shown_as_its_author_declared_it() -> None:
    class Node:
        FUNCTION = "run"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
            hidden = {"prompt": "PROMPT", "options": {"default": (1, True)}, "info": ("EXTRA_PNGINFO", {}), "any": ()}
            return {"hidden": hidden}

        def run(self) -> None: ...

    shown = node_info(adapt(Node, node_id="Node").node_schema(), [])["input"]["hidden"]
    assert shown == {"prompt": "PROMPT", "options": {"default": [1, True]}, "info": ["EXTRA_PNGINFO", {}], "any": []}
