"""Each package says what its modules are, and the glossary says where each word is defined."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ROOT / "src" / "safelight"
SURFACES = {OURS / "shims" / "modules", OURS / "db" / "migrations" / "versions"}
"""The module names that node packs import, and numbered migrations: their files need no map."""

PACKAGES = sorted(
    init.parent for init in OURS.rglob("__init__.py") if not any(init.is_relative_to(each) for each in SURFACES)
)
ENTRY = re.compile(r"^\* ``([\w/]+)``: \S", re.M)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(OURS)))
def test_a_package_lists_its_modules(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    modules = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    subpackages = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert set(ENTRY.findall(docstring)) == modules | subpackages


GLOSSARY = (ROOT / "docs" / "glossary.md").read_text("utf-8")
WORD = re.compile(r"^\* \*\*(.+?)\*\*: .+ `([\w/.]+)`$", re.M)


def test_every_line_of_the_glossary_defines_a_word_and_names_its_file() -> None:
    lines = [line for line in GLOSSARY.splitlines() if line.startswith("* ")]
    found = WORD.findall(GLOSSARY)
    assert len(found) == len(lines) > 30
    assert [path for _, path in found if not (ROOT / path).is_file()] == []


def test_the_glossary_is_in_order_and_has_each_word_once() -> None:
    words = [word.casefold() for word, _ in WORD.findall(GLOSSARY)]
    assert words == sorted(set(words))
