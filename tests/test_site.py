"""The documentation as a site: its reference has everything that exists, and it builds without a broken link."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from safelight import nodes
from safelight.api import contract
from safelight.cli.main import COMMANDS
from safelight.sdk.registry import discover

ROOT = Path(__file__).parent.parent


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "scripts/site_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    generator().write(folder)
    return folder


def text(site: Path, pattern: str) -> str:
    return "".join(path.read_text("utf-8") for path in (site / "pages").glob(pattern))


def test_the_reference_has_every_node_with_what_it_does(site: Path) -> None:
    pages = text(site, "reference/nodes/*.md")
    found = discover(nodes)
    assert len(found) > 300
    assert [name for name in found if f"{{ #{name} }}" not in pages] == []
    undescribed = re.findall(r"^`(\w+)`, in \*[^\n]*\n\n(?=\||Outputs)", pages, re.M)
    assert undescribed == []


def test_the_reference_has_every_command(site: Path) -> None:
    page = text(site, "reference/commands.md")
    assert [name for name in COMMANDS if f"## safelight {name}\n" not in page] == []
    assert "### safelight job logs\n" in page
    assert "--protect-s" in page


def test_the_reference_has_every_operation(site: Path) -> None:
    page = text(site, "reference/api*.md")
    operations = [*contract.load().operations.values(), *contract.load_v2().operations.values()]
    assert [op.id for op in operations if f"`{op.method}` | `{op.path}`" not in page] == []
    assert "`/api/admin/housekeeping`" in page


def test_every_page_has_a_place(site: Path) -> None:
    config = yaml.safe_load((site / "mkdocs.yml").read_text())
    listed = [page for section in config["nav"] for pages in section.values() for page in pages]
    assert len(listed) == len(set(listed))
    assert [next(iter(section)) for section in config["nav"]] == [
        *("Start", "How to", "Operate", "Reference", "Explain", "Developers")
    ]


def test_the_site_builds_without_a_broken_link(site: Path) -> None:
    pytest.importorskip("material", reason="mkdocs-material is not installed (the extra `docs`)")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(site / "mkdocs.yml")]
    done: Any = subprocess.run(words, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (site / "html/search/search_index.json").stat().st_size > 100_000
    start = (site / "html/index.html").read_text("utf-8")
    assert "Safelight" in start
