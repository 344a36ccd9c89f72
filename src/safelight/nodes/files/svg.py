"""The value of type ``SVG``: vector drawings, and how they are saved."""

import json
import re
from collections.abc import Sequence
from io import BytesIO

from safelight.media.metadata import Metadata
from safelight.sdk import Node, NodeOutput, OutputFile, Schema, current, io, ui

_ROOT = re.compile(rb"<svg(?:\s(?:[^>\"']|\"[^\"]*\"|'[^']*')*)?>")


class SVG:
    """A batch of SVG documents. Node packs read ``data``."""

    def __init__(self, data: Sequence[BytesIO]) -> None:
        self.data = list(data)

    def documents(self) -> list[bytes]:
        return [d.getvalue() for d in self.data]


class SaveSVGNode(Node):
    """Save vector drawings as SVG files in the output folder, with the workflow embedded."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveSVGNode",
            category="image/save",
            is_output_node=True,
            search_aliases=["export vector", "save vector graphics"],
            inputs=[
                io.Svg.Input("svg"),
                io.String.Input(
                    "filename_prefix",
                    default="svg/ComfyUI",
                    multiline=False,
                    tooltip="The start of the file names; a number follows. It may contain folders and "
                    "%date:yyyy-MM-dd%.",
                ),
            ],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, svg: SVG, filename_prefix: str) -> NodeOutput:
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        documents = svg.documents()
        series = current().open_series(filename_prefix, count=len(documents))
        files: list[OutputFile] = []
        for index, document in enumerate(documents):
            file = series.file(index, ".svg")
            file.path.write_bytes(_with_metadata(document, metadata))
            files.append(file)
        return NodeOutput(ui=ui.Images(files))


def _with_metadata(document: bytes, metadata: Metadata) -> bytes:
    """The document with a ``metadata`` element as the first child of its root; unchanged without metadata."""
    root = _ROOT.search(document)
    values = {name: json.loads(text) for name, text in metadata.texts().items()}
    if root is None or root[0].endswith(b"/>") or not values:
        return document
    text = json.dumps(values).replace("]]>", "]]]]><![CDATA[>").encode("ascii")
    return document[: root.end()] + b"<metadata><![CDATA[" + text + b"]]></metadata>" + document[root.end() :]
