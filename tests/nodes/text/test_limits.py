"""Text nodes whose small inputs ask for more memory or time than a machine has."""

import json

import pytest

from safelight.nodes.logic.lists import MAX_ITEMS, CreateList
from safelight.nodes.text.limits import MAX_CHARACTERS, TextTooLong
from safelight.nodes.text.lists import AddTextPrefix, AddTextSuffix, ReplaceText
from safelight.nodes.text.string import StringConcatenate, StringReplace
from safelight.nodes.text.structure import ConvertArrayToString, StringFormat, first_object

HALF = "x" * (MAX_CHARACTERS // 2)


def test_a_text_that_is_doubled_ends() -> None:
    whole = StringConcatenate.execute(HALF, HALF).values[0]
    assert len(whole) == MAX_CHARACTERS
    with pytest.raises(TextTooLong):
        StringConcatenate.execute(whole, whole)
    with pytest.raises(TextTooLong):
        AddTextPrefix.execute(whole, "x")
    with pytest.raises(TextTooLong):
        AddTextSuffix.execute(whole, "x")


@pytest.mark.parametrize("node", [StringReplace, ReplaceText])
def test_a_long_text_in_place_of_many_short_ones(node: type[StringReplace]) -> None:
    with pytest.raises(TextTooLong):
        node.execute("a" * 100_000, "a", "b" * 100_000)
    with pytest.raises(TextTooLong):
        node.execute("a" * 100_000, "", "b" * 100_000)
    assert node.execute("aXa", "a", "bb").values[0] in ("bbXbb", ["bbXbb"])


def test_a_template_with_many_placeholders() -> None:
    with pytest.raises(TextTooLong):
        StringFormat.execute("{a}" * 10_000, {"a": "x" * 10_000})
    assert StringFormat.execute("{a}-{b:>3}", {"a": "x", "b": 1}).values[0] == "x-  1"


def test_deep_values_with_white_space() -> None:
    deep: list[object] = [1] * 20_000
    for _ in range(500):
        deep = [deep]
    with pytest.raises(TextTooLong):
        ConvertArrayToString.execute(deep, indent=8)
    assert ConvertArrayToString.execute([1, "é"], indent=0).values[0] == '[1, "é"]'
    assert ConvertArrayToString.execute([{"a": [1]}], indent=2).values[0] == json.dumps([{"a": [1]}], indent=2)


def test_a_text_with_many_beginnings_of_objects() -> None:
    """The pattern would read each to the end of the text."""
    inner = '{"a":[' + "1," * 2000
    assert first_object(inner * 5000) == {}
    assert first_object('x {y} {"a": 1} {"b": 2}') == {"a": 1}


def test_a_list_that_is_joined_with_itself() -> None:
    items = list(range(MAX_ITEMS // 2))
    assert len(CreateList.execute({"input0": items, "input1": items}).values[0]) == MAX_ITEMS
    with pytest.raises(ValueError, match="more than 100000 items"):
        CreateList.execute({"input0": items, "input1": items, "input2": [1]})
