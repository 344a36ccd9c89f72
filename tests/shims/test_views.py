"""The library's nodes as V1 classes, as packs call them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.nodes.context import FolderContext

from safelight.nodes.files.load_image import LoadImage
from safelight.nodes.files.save_image import SaveImage
from safelight.nodes.image.source import EmptyImage
from safelight.runtime import packs
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.v1 import adapt
from safelight.shims.v1_methods import POSITIONS
from safelight.shims.views import view_of
from safelight.worker.context import WorkerContext


def test_a_node_is_called_by_its_v1_method_with_positional_or_named_inputs() -> None:
    view: Any = view_of(EmptyImage)
    assert (view.FUNCTION, view.RETURN_TYPES, view.CATEGORY) == ("generate", ("IMAGE",), "image")
    (image,) = view().generate(4, 2, 1, 0xFF0000)
    assert image.shape == (1, 2, 4, 3)
    assert torch.equal(image, view().generate(width=4, height=2, batch_size=1, color=0xFF0000)[0])
    assert torch.equal(image, view.execute(4, 2, 1, 0xFF0000)[0])


def test_positional_arguments_are_in_the_order_of_comfyuis_methods() -> None:
    class Coder(Node):
        @classmethod
        def define_schema(cls) -> Schema:
            return Schema(
                node_id="VAEDecode",
                inputs=[io.Latent.Input("samples"), io.Vae.Input("vae")],
                outputs=[io.Image.Output()],
            )

        @classmethod
        def execute(cls, samples: Any, vae: Any) -> NodeOutput:
            return NodeOutput(f"{samples} by {vae}")

    view: Any = view_of(Coder)
    assert list(view.INPUT_TYPES()["required"]) == ["samples", "vae"]
    assert view().decode("vae", "latent") == ("latent by vae",)
    assert view.decode("vae", samples="latent") == ("latent by vae",)
    with pytest.raises(TypeError, match="takes 2 arguments, but 3 were given"):
        view().decode("vae", "latent", 3)
    with pytest.raises(TypeError, match="several values for 'vae'"):
        view().decode("vae", vae="vae")


def test_listed_orders_name_the_inputs_of_the_nodes() -> None:
    nodes = packs.load(("safelight.nodes",), WorkerContext()).nodes
    for node_id in POSITIONS.keys() & nodes.keys():
        declared = [i.id for i in nodes[node_id].node_schema().inputs]
        assert set(POSITIONS[node_id]) <= set(declared), node_id
        assert POSITIONS[node_id] != tuple(declared), node_id


def test_scaling_nodes_have_their_lists() -> None:
    nodes = packs.load(("safelight.nodes",), WorkerContext()).nodes
    scale: Any = view_of(nodes["ImageScale"])
    assert "lanczos" in scale.upscale_methods
    assert scale.crop_methods == ["disabled", "center"]
    assert not hasattr(view_of(nodes["ImageScaleBy"]), "crop_methods")


def test_pixels_are_cropped_around_their_middle() -> None:
    nodes = packs.load(("safelight.nodes",), WorkerContext()).nodes
    encode: Any = view_of(nodes["VAEEncode"])
    pixels = torch.arange(12 * 19).reshape(1, 12, 19, 1)
    assert torch.equal(encode().vae_encode_crop_pixels(pixels), pixels[:, 2:10, 1:17, :])


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
