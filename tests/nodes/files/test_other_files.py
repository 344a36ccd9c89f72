"""Texts, vector drawings and latents as files."""

import json
import re
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tests.nodes.context import FolderContext, with_hidden

from safelight.nodes.files.latent_file import LoadLatent, SaveLatent
from safelight.nodes.files.save_text import SaveText
from safelight.nodes.files.svg import SVG, SaveSVGNode

PROMPT = {"1": {"class_type": "X", "inputs": {"text": "a ]]> b"}}}


@pytest.fixture
def run(tmp_path: Path):
    with FolderContext(tmp_path).running() as run:
        yield run


def test_text_is_saved_unchanged(run: FolderContext) -> None:
    output = SaveText.execute(text="größe\r\n🙂", filename_prefix="notes/a", format="md")
    assert output.values == ("größe\r\n🙂",)
    assert run.saved[0].path.read_bytes() == "größe\r\n🙂".encode()
    assert output.ui == {
        "text": ["größe\r\n🙂"],
        "files": [{"filename": "a_00001_.md", "subfolder": "notes", "type": "output"}],
    }


@pytest.mark.parametrize(
    ("text", "saved"), [('{"b":1,"a":"ß"}', '{\n  "b": 1,\n  "a": "ß"\n}'), ("{not json", "{not json")]
)
def test_valid_json_is_indented(run: FolderContext, text: str, saved: str) -> None:
    assert SaveText.execute(text=text, format="json").values == (text,)
    assert run.saved[0].path.read_text("utf-8") == saved


def test_svg_carries_the_prompt(run: FolderContext) -> None:
    document = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" id="a>b"><path d="M0 0"/></svg>'
    node = with_hidden(SaveSVGNode, prompt=PROMPT, extra_pnginfo={"workflow": {"nodes": []}})
    node.execute(svg=SVG([BytesIO(document), BytesIO(b"<svg></svg>")]), filename_prefix="svg/a_%batch_num%")
    assert [f.filename for f in run.saved] == ["a_0_00001_.svg", "a_1_00002_.svg"]
    root = ElementTree.parse(run.saved[0].path).getroot()
    assert [re.sub("{.*}", "", child.tag) for child in root] == ["metadata", "path"]
    assert json.loads(root[0].text or "") == {"prompt": PROMPT, "workflow": {"nodes": []}}


@pytest.mark.parametrize("document", [b"<svg/>", b"no drawing"])
def test_svg_without_room_for_metadata_is_left_alone(run: FolderContext, document: bytes) -> None:
    with_hidden(SaveSVGNode, prompt=PROMPT).execute(svg=SVG([BytesIO(document)]), filename_prefix="a")
    assert run.saved[0].path.read_bytes() == document


def test_svg_without_metadata_is_left_alone(run: FolderContext) -> None:
    SaveSVGNode.execute(svg=SVG([BytesIO(b"<svg></svg>")]), filename_prefix="a")
    assert run.saved[0].path.read_bytes() == b"<svg></svg>"


def test_latents_come_back(run: FolderContext) -> None:
    samples = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    output = with_hidden(SaveLatent, prompt=PROMPT).execute(samples={"samples": samples}, filename_prefix="latents/a")
    assert output.ui == {"latents": [{"filename": "a_00001_.latent", "subfolder": "latents", "type": "output"}]}
    with safe_open(run.saved[0].path, framework="pt") as file:
        assert file.metadata() == {"prompt": json.dumps(PROMPT)}
        assert set(file.keys()) == {"latent_tensor", "latent_format_version_0"}
    name = "latents/a_00001_.latent [output]"
    assert LoadLatent.validate_inputs(latent=name) is True
    (latent,) = LoadLatent.execute(latent=name).values
    assert set(latent) == {"samples"}
    assert torch.equal(latent["samples"], samples)


def test_latents_of_old_files_are_scaled(run: FolderContext) -> None:
    save_file({"latent_tensor": torch.full((1, 4, 2, 2), 0.18215)}, run.input / "old.latent")
    (latent,) = LoadLatent.execute(latent="old.latent").values
    assert torch.allclose(latent["samples"], torch.ones(1, 4, 2, 2))


def test_a_file_without_a_latent_is_refused(run: FolderContext) -> None:
    save_file({"weight": torch.zeros(1)}, run.input / "other.latent")
    with pytest.raises(ValueError, match="contains no latent"):
        LoadLatent.execute(latent="other.latent")
