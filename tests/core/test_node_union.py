"""One catalogue from those of several engine kinds."""

from typing import Any

from safelight.core.node import InputSchema, NodeSchema
from safelight.core.node_union import union


def node(name: str, **combos: Any) -> NodeSchema:
    inputs = tuple(InputSchema(key, "COMBO", config={"options": options}) for key, options in combos.items())
    return NodeSchema(name=name, display_name=name, category="", inputs=inputs, outputs=())


def test_a_node_of_one_kind_is_as_that_kind_declares_it() -> None:
    own, other = {"A": node("A")}, {"B": node("B", x=["1"])}
    assert union([own, other]) == {"A": node("A"), "B": node("B", x=["1"])}


def test_the_preferred_declaration_offers_the_options_of_the_others_too() -> None:
    first = {"Load": node("Load", file=["a", "b"], precision=["half"])}
    second = {"Load": node("Load", file=["b", "c"], device=["cpu"])}
    third = {"Load": node("Load", file=["d"])}
    assert union([first, second, third]) == {"Load": node("Load", file=["a", "b", "c", "d"], precision=["half"])}


def test_an_input_that_another_kind_declares_with_another_type_is_left_alone() -> None:
    text = NodeSchema(name="Load", display_name="", category="", inputs=(InputSchema("file", "STRING"),), outputs=())
    first = {"Load": node("Load", file=["a"])}
    assert union([first, {"Load": text}]) == first
    assert union([{"Load": text}, first]) == {"Load": text}
