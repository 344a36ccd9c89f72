"""Lists as values: every node after a list runs once for each of its items."""

from collections.abc import Mapping
from typing import Any

from safelight.sdk import Node, NodeOutput, Schema, io

MAX_ITEMS = 100_000
"""Of one list: ten nodes in a row that each join one list a hundred times would make more items than there are
atoms."""


class CreateList(Node):
    """Join values, or lists of them, into one list in their order."""

    @classmethod
    def define_schema(cls) -> Schema:
        template = io.Template("item")
        return Schema(
            node_id="CreateList",
            display_name="Create List",
            category="logic",
            inputs=[io.Autogrow.Input("inputs", io.MatchType.Input("input", template), prefix="input", min=1, max=100)],
            outputs=[io.MatchType.Output(template, display_name="list", is_list=True)],
            is_input_list=True,
            search_aliases=["Image Iterator", "Text Iterator", "Iterator"],
        )

    @classmethod
    def execute(cls, inputs: Mapping[str, list[Any]]) -> NodeOutput:
        if sum(map(len, inputs.values())) > MAX_ITEMS:
            raise ValueError(f"the list would have more than {MAX_ITEMS} items")
        return NodeOutput([item for items in inputs.values() for item in items])


class GetItemFromList(Node):
    """Take one item out of a list by its index: 0 is the first, -1 the last."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="GetItemFromList",
            display_name="Get Item From List",
            category="logic",
            inputs=[io.AnyType.Input("list"), io.Int.Input("index", default=0)],
            outputs=[io.AnyType.Output()],
            is_input_list=True,
        )

    @classmethod
    def execute(cls, list: list[Any], index: list[int]) -> NodeOutput:
        position = index[0]
        if not -len(list) <= position < len(list):
            raise IndexError(
                f"no item {position} in a list of {len(list)}: use an index from {-len(list)} to {len(list) - 1}"
            )
        return NodeOutput(list[position])
