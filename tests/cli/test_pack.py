"""``safelight pack``: libraries are resolved against what is installed, and nothing is installed if they clash."""

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.cli.server import running, wait_for_nodes
from tests.cli.wheels import make_wheel

from safelight.cli.pack_libraries import Library, unmatched_builds
from safelight.cli.pack_requirements import Installed, UnreadableRequirements, clashes, declared_by, missing

NODE = """
import {library}
class {name}:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    CATEGORY = "x"
    @classmethod
    def INPUT_TYPES(cls): return {{}}
    def run(self): return (1,)
NODE_CLASS_MAPPINGS = {{"{name}": {name}}}
"""


@dataclass
class Site:
    """An index of wheels, a folder of packs, and a folder of libraries."""

    top: Path

    def pack(self, name: str, *requirements: str, library: str = "sys") -> Path:
        folder = self.top / "sources" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(NODE.format(name=name.title(), library=library))
        (folder / "requirements.txt").write_text("\n".join(requirements))
        return folder

    def wheel(self, name: str, version: str, *requires: str, files: dict[str, str] | None = None) -> None:
        contained = {f"{name.replace('-', '_')}.py": ""} if files is None else files
        make_wheel(self.top / "wheels", name, version, files=contained, requires=requires)

    def run(self, *words: str) -> tuple[int, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
        environment = kept | {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.top / "wheels"),
            "SAFELIGHT_PACK_LIBRARIES": str(self.top / "libraries"),
            "SAFELIGHT_CUSTOM_NODES": str(self.top / "custom_nodes"),
        }
        command = [sys.executable, "-m", "safelight.cli", "pack", *words]
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=self.top)
        return ran.returncode, ran.stdout + ran.stderr

    def names(self, folder: str) -> list[str]:
        place = self.top / folder
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "wheels").mkdir()
    return Site(tmp_path)


def test_a_folder_is_added_with_its_libraries(site: Site) -> None:
    site.wheel("tiny-library", "1.2", "tiny-below>=2")
    site.wheel("tiny-below", "1.0")
    site.wheel("tiny-below", "2.0")
    source = site.pack("first", "tiny-library>=1  # for the node", "# nothing", library="tiny_library")
    code, text = site.run("add", str(source), "--dry-run")
    assert (code, text.splitlines()) == (0, ["library tiny-library 1.2", "library tiny-below 2.0"])
    assert site.names("libraries") == site.names("custom_nodes") == []
    code, text = site.run("add", str(source))
    assert code == 0, text
    assert text.splitlines()[-2:] == [f"Added first to {site.top / 'custom_nodes'}.", "first: 1 nodes"]
    assert {"tiny_library.py", "tiny_below.py"} <= set(site.names("libraries"))
    assert site.run("list")[1].splitlines()[1].split() == ["first", str(site.top / "custom_nodes"), "complete"]
    code, text = site.run("add", str(source))
    assert code == 1
    assert "exists already; replace it with --replace" in text
    assert site.run("add", str(source), "--replace")[0] == 0


def test_a_clash_is_reported_with_both_sides_and_nothing_changes(site: Site) -> None:
    source = site.pack("old", "click<1", "tiny-library")
    site.wheel("tiny-library", "1.0")
    code, text = site.run("add", str(source))
    assert code == 1
    assert "it needs click<1, and Safelight has click" in text
    assert site.names("libraries") == site.names("custom_nodes") == []
    assert site.run("add", str(source), "--without", "click")[0] == 0


def test_a_clash_of_a_library_below_is_reported_too(site: Site) -> None:
    site.wheel("tiny-library", "1.0", "click<1")
    code, text = site.run("add", str(site.pack("deep", "tiny-library")))
    assert code == 1
    assert "tiny-library 1.0 depends on click<1, and this installation has click==" in " ".join(text.split())
    assert site.names("libraries") == site.names("custom_nodes") == []


def test_a_library_of_another_pack_is_not_replaced(site: Site) -> None:
    for version in ("1.0", "2.0"):
        site.wheel("tiny-library", version)
    assert site.run("add", str(site.pack("first", "tiny-library<2")))[0] == 0
    code, text = site.run("add", str(site.pack("second", "tiny-library>=2")))
    assert code == 1
    assert "it needs tiny-library>=2, and another pack has tiny-library 1.0" in " ".join(text.split())


def test_a_pack_on_the_index_is_added_by_its_name(site: Site) -> None:
    files = {"their_pack/__init__.py": NODE.format(name="Theirs", library="tiny_library")}
    site.wheel("their-pack", "0.3", "tiny-library", files=files)
    site.wheel("tiny-library", "1.0")
    code, text = site.run("add", "their-pack")
    assert code == 0, text
    assert site.names("custom_nodes") == ["their_pack"]
    assert "their_pack: 1 nodes" in text
    assert "no matching distribution" in site.run("add", "no-such-pack")[1].lower()
    assert "neither a folder nor a name" in site.run("add", "../no such pack")[1]


def test_a_check_names_what_is_missing_and_what_does_not_load(site: Site) -> None:
    packs = site.top / "custom_nodes"
    site.pack("broken", "tiny-library", library="tiny_library").rename(packs.with_name("moved"))
    packs.mkdir()
    (site.top / "moved").rename(packs / "broken")
    code, text = site.run("check")
    assert code == 1
    assert "tiny-library is missing" in text
    assert "broken failed to load: ModuleNotFoundError: No module named 'tiny_library'" in " ".join(text.split())


def test_builds_that_do_not_match_torch_are_not_installed() -> None:
    vision, sound = Library("torchvision", "0.28.0", ""), Library("torchaudio", "2.13.0+cpu", "")

    def unmatched(torch: str) -> list[str]:
        return unmatched_builds([vision, sound], {"torch": Installed("torch", torch, "Safelight")})

    assert unmatched("2.13.0") == []
    [text] = unmatched("2.13.0+cpu")
    assert text == (
        "torchvision has to match torch 2.13.0+cpu; install it first: "
        "pip install torchvision==0.28.0 --index-url https://download.pytorch.org/whl/cpu"
    )


def test_requirements_are_read_as_pip_reads_them(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "--extra-index-url https://example.org\n\nopencv-python[ffmpeg]>=4\nnumpy<2 ; python_version < '3'\n"
        "git+https://github.com/someone/some_library.git@main\n"
    )
    opencv, other = declared_by(tmp_path)
    assert str(opencv) == "opencv-python-headless[ffmpeg]>=4"
    assert (other.name, other.url) == ("some_library", "git+https://github.com/someone/some_library.git@main")
    (tmp_path / "requirements.txt").write_text("what is this")
    with pytest.raises(UnreadableRequirements, match="invalid requirement 'what is this'"):
        declared_by(tmp_path)
    (tmp_path / "requirements.txt").unlink()
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["einops"]')
    assert [one.name for one in declared_by(tmp_path)] == ["einops"]


def test_what_is_installed_is_compared_by_normalised_names() -> None:
    present = {"my-library": Installed("My_Library", "1.5", "Safelight")}
    needed = [Requirement("my.library>=2"), Requirement("other")]
    assert clashes(needed, present) == ["it needs my.library>=2, and Safelight has My_Library 1.5"]
    assert [one.name for one in missing(needed, present)] == ["other"]


@pytest.mark.slow
def test_a_worker_finds_the_libraries(site: Site) -> None:
    """Also where workers may read little: the folder is outside the server's own."""
    site.wheel("tiny-library", "1.0")
    code, text = site.run("add", str(site.pack("first", "tiny-library", library="tiny_library")))
    assert code == 0, text
    environment = {"SAFELIGHT_PACK_LIBRARIES": str(site.top / "libraries")}
    packs = ("--custom-nodes", str(site.top / "custom_nodes"))
    with running(site.top / "data", *packs, environment=environment) as server:
        wait_for_nodes(server.url)
        with urllib.request.urlopen(f"{server.url}/api/object_info/First", timeout=60) as answer:
            assert json.load(answer)["First"]["python_module"] == "custom_nodes.first"
        with urllib.request.urlopen(f"{server.url}/api/account/packs", timeout=60) as answer:
            assert json.load(answer)["packs"] == [{"name": "first", "nodes": 1, "failures": []}]
