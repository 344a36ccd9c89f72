"""The library's nodes as V1 classes, as packs call them."""

from pathlib import Path
from typing import Any

import torch
from tests.nodes.context import FolderContext

from safelight.nodes.files.load_image import LoadImage
from safelight.nodes.files.save_image import SaveImage
from safelight.nodes.image.source import EmptyImage
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.v1 import adapt
from safelight.shims.views import view_of


def test_a_node_is_called_by_its_v1_method_with_positional_or_named_inputs() -> None:
    view: Any = view_of(EmptyImage)
    assert (view.FUNCTION, view.RETURN_TYPES, view.CATEGORY) == ("generate", ("IMAGE",), "image")
    (image,) = view().generate(4, 2, 1, 0xFF0000)
    assert image.shape == (1, 2, 4, 3)
    assert torch.equal(image, view().generate(width=4, height=2, batch_size=1, color=0xFF0000)[0])
    assert torch.equal(image, view.execute(4, 2, 1, 0xFF0000)[0])


def test_hidden_values_are_arguments(tmp_path: Path) -> None:
    view: Any = view_of(SaveImage)
    assert view.INPUT_TYPES()["hidden"] == {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
    with FolderContext(tmp_path).running() as run:
        given = view().execute(torch.zeros(1, 2, 2, 3), "x", prompt={"1": {}}, extra_pnginfo=None)
    assert given["ui"]["images"] == [file.as_dict() for file in run.saved]


def test_combos_are_lists_and_validators_are_included() -> None:
    view: Any = view_of(LoadImage)
    assert view.INPUT_TYPES()["required"]["image"] == ([], {"image_upload": True})
    assert view.VALIDATE_INPUTS(None) is True


def test_a_pack_can_subclass_a_view() -> None:
    base: Any = view_of(EmptyImage)

    class Double(base):  # type: ignore[misc]
        FUNCTION = "double"

        def double(self, width: int, **further: Any) -> Any:
            return self.generate(2 * width, **further)

    node = adapt(Double, node_id="Double")
    assert [i.id for i in node.node_schema().inputs] == ["width", "height", "batch_size", "color"]
    assert Double().double(2, height=1, batch_size=1, color=0)[0].shape == (1, 1, 4, 3)


def test_a_v1_node_is_its_own_view() -> None:
    class Plain:
        FUNCTION = "run"
        INPUT_TYPES = classmethod(lambda cls: {})

        def run(self) -> None: ...

    assert view_of(adapt(Plain, node_id="Plain")) is Plain


def test_an_expansion_is_returned_in_the_v1_form() -> None:
    class Grow(Node):
        @classmethod
        def define_schema(cls) -> Schema:
            return Schema(node_id="Grow", outputs=[io.Int.Output()])

        @classmethod
        def execute(cls) -> NodeOutput:
            return NodeOutput(["a", 0], expand={"a": {"class_type": "X", "inputs": {}}})

    view: Any = view_of(Grow)
    assert view().execute() == {"result": (["a", 0],), "expand": {"a": {"class_type": "X", "inputs": {}}}}
