"""A switch evaluates only the input that it passes on; a custom combo accepts any choice."""

import pytest

from safelight.nodes.logic.choice import ComfySwitchNode, CustomCombo
from safelight.nodes.logic.lists import CreateList, GetItemFromList
from safelight.nodes.logic.primitive import ColorToRGBInt, PrimitiveBoundingBox, SeedNode


@pytest.mark.parametrize(
    ("switch", "arrived", "asked"),
    [
        (True, {}, ["on_true"]),
        (False, {}, ["on_false"]),
        (True, {"on_false": 1}, ["on_true"]),
        (True, {"on_true": 1}, []),
        (False, {"on_false": 0}, []),
    ],
)
def test_a_switch_is_lazy(switch: bool, arrived: dict[str, int], asked: list[str]) -> None:
    assert ComfySwitchNode.check_lazy_status(switch, **arrived) == asked


def test_a_custom_combo_checks_no_options() -> None:
    assert CustomCombo.validate_inputs("anything") is True
    assert CustomCombo.node_schema().validated_inputs == ("choice",)
    assert CustomCombo.execute("b", 1).values == ("b", 1)


def test_a_list_is_joined_in_order_and_taken_apart() -> None:
    (joined,) = CreateList.execute({"input0": ["a", "b"], "input1": ["c"]}).values
    assert joined == ["a", "b", "c"]
    assert [GetItemFromList.execute(joined, [place]).values[0] for place in (0, 2, -1)] == ["a", "c", "c"]
    with pytest.raises(IndexError, match="no item 3 in a list of 3"):
        GetItemFromList.execute(joined, [3])


def test_primitives() -> None:
    assert SeedNode.execute(7).values == (7,)
    assert PrimitiveBoundingBox.execute(1, 2, 3, 4).values == ({"x": 1, "y": 2, "width": 3, "height": 4},)


def test_colors() -> None:
    assert ColorToRGBInt.execute("#0a9299").values == (0x0A9299, "#0a9299", 1.0)
    assert ColorToRGBInt.execute("#FF573380").values == (16734003, "#FF5733", 128 / 255)
    for wrong in ("0a9299", "#0a929", "#0a929g", "#0a92991"):
        with pytest.raises(ValueError, match="#RRGGBB"):
            ColorToRGBInt.execute(wrong)
