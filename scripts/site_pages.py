"""The pages of the documentation as a site: those of ``docs/``, the project's own pages, and the reference that is made
from the code (nodes, commands, both APIs).

``python scripts/site_pages.py FOLDER`` writes them, with the configuration for MkDocs.
"""

import json
import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "developers/contributing.md",
    "SECURITY.md": "explain/security-model.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "developers/benchmarks.md",
}
"""Pages outside ``docs/``, and their place in the site."""

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def write(folder: Path) -> None:
    """Write all pages to ``folder/pages``, and ``folder/mkdocs.yml``."""
    pages = folder / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    for source in sorted((ROOT / "docs").rglob("*")):
        if source.is_file():
            target = pages / source.relative_to(ROOT / "docs")
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".md":
                target.write_text(linked(source), "utf-8")
            else:
                shutil.copyfile(source, target)
    for name, place in PROJECT.items():
        (pages / place).parent.mkdir(parents=True, exist_ok=True)
        (pages / place).write_text(linked(ROOT / name), "utf-8")
    made = {**node_pages(), "reference/commands.md": commands_page(), **api_pages()}
    for place, text in made.items():
        (pages / place).parent.mkdir(parents=True, exist_ok=True)
        (pages / place).write_text(text, "utf-8")
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    config |= {"docs_dir": "pages", "site_dir": "html", "nav": navigation(pages)}
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), "utf-8")


# -- links --


def place_of(path: Path) -> str | None:
    """Where a file of the project is in the site; ``None`` if it is not there."""
    relative = path.relative_to(ROOT).as_posix()
    if relative in PROJECT:
        return PROJECT[relative]
    return relative.removeprefix("docs/") if relative.startswith("docs/") else None


def linked(source: Path) -> str:
    """The text of a page, with links as they are in the site. A link to a file that is not there becomes its path."""
    here = Path("/", place_of(source) or "").parent

    def change(match: "re.Match[str]") -> str:
        target, _, anchor = match[2].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        place = place_of((source.parent / target).resolve())
        if place is None:
            return f"{match[1]} (`{target}`)"
        return f"[{match[1]}]({relative(Path('/', place), here)}{'#' + anchor if anchor else ''})"

    return LINK.sub(change, source.read_text("utf-8"))


def relative(target: Path, start: Path) -> str:
    return os.path.relpath(target, start)


# -- nodes --


def node_pages() -> Mapping[str, str]:
    """A page for each top category of the node library, and one that lists them."""
    from safelight import nodes
    from safelight.sdk.registry import discover

    by_category: dict[str, list[Any]] = defaultdict(list)
    for node in discover(nodes).values():
        schema = node.define_schema().to_node_schema(description=description(node))
        by_category[schema.category.split("/")[0].strip() or "other"].append(schema)
    pages = {}
    index = ["# Nodes", "", "The node library, by category. Each page is made from the nodes' own declarations.", ""]
    for category, schemas in sorted(by_category.items(), key=lambda item: item[0].lower()):
        name = re.sub(r"[^a-z0-9]+", "-", category.lower()).strip("-") or "other"
        index.append(f"* [{category}]({name}.md): {len(schemas)} nodes")
        lines = [f"# {category}", ""]
        for schema in sorted(schemas, key=lambda schema: schema.name.lower()):
            lines += node_lines(schema)
        pages[f"reference/nodes/{name}.md"] = "\n".join(lines) + "\n"
    return {**pages, "reference/nodes/README.md": "\n".join(index) + "\n"}


def description(node: type) -> str:
    return " ".join((node.__doc__ or "").split())


def node_lines(schema: Any) -> Iterator[str]:
    yield f"## {schema.display_name} {{ #{schema.name} }}"
    marks = [
        text for is_so, text in ((schema.deprecated, "deprecated"), (schema.experimental, "experimental")) if is_so
    ]
    yield from ("", f"`{schema.name}`, in *{schema.category}*{''.join(f', {mark}' for mark in marks)}", "")
    if schema.description:
        yield from (escaped(schema.description), "")
    shown = [each for each in schema.inputs if each.section.value != "hidden"]
    if shown:
        yield from ("| input | type | default | |", "|---|---|---|---|")
        yield from (input_row(each) for each in shown)
        yield ""
    if schema.outputs:
        yield from ("Outputs: " + ", ".join(f"`{each.name}` ({each.type})" for each in schema.outputs), "")


def input_row(each: Any) -> str:
    config = each.config or {}
    default = config.get("default", "")
    notes = [str(config["tooltip"])] if config.get("tooltip") else []
    if {"min", "max"} <= set(config):
        notes.append(f"{config['min']} to {config['max']}")
    if each.section.value == "optional":
        notes.append("optional")
    kind = each.type if isinstance(each.type, str) else "COMBO"
    return f"| `{each.id}` | {escaped(kind)} | {code(default)} | {escaped('; '.join(notes))} |"


def code(value: object) -> str:
    text = " ".join(str(value).split())
    return f"`{text[:60].replace('|', '/')}`" if text else ""


def escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[").replace("{", "&#123;")


# -- commands --


def commands_page() -> str:
    """Every command of ``safelight`` with its options, as ``--help`` shows them."""
    from safelight.cli.main import cli

    lines = ["# Commands", "", "Made from the commands themselves; `safelight COMMAND --help` shows the same.", ""]
    with click.Context(cli, info_name="safelight") as context:
        for name in cli.list_commands(context):
            command = cli.get_command(context, name)
            if command is not None:
                lines += command_lines(command, context, depth=2)
    return "\n".join(lines) + "\n"


def command_lines(command: click.Command, parent: click.Context, *, depth: int) -> Iterator[str]:
    context = click.Context(command, info_name=command.name, parent=parent)
    yield from (f"{'#' * depth} {context.command_path}", "", "```", command.get_help(context), "```", "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from command_lines(below, context, depth=depth + 1)


# -- APIs --


def api_pages() -> Mapping[str, str]:
    from safelight.api import contract, openapi_document

    first = openapi_document.document(contract.load())
    second = openapi_document.document_v2(contract.load_v2())
    return {
        "reference/api.md": api_page("The API", first, "`/openapi.json`"),
        "reference/api-v2-operations.md": api_page("Comfy API v2", second, "`/api/v2/openapi.json`"),
    }


def api_page(title: str, document: Mapping[str, Any], where: str) -> str:
    """The operations of an OpenAPI document, by their first tag."""
    by_tag: dict[str, list[str]] = defaultdict(list)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in ("get", "put", "post", "patch", "delete", "head"):
                about = operation.get("summary") or operation.get("description") or operation.get("operationId", "")
                tag = (operation.get("tags") or ["Safelight"])[0]
                by_tag[tag].append(f"| `{method.upper()}` | `{path}` | {escaped(about.splitlines()[0])} |")
    lines = [
        f"# {title}: operations",
        "",
        f"A running server has the whole document, with all schemas, at {where}.",
        "",
    ]
    for tag, rows in sorted(by_tag.items(), key=lambda item: item[0].lower()):
        lines += [f"## {tag}", "", "| method | path | |", "|---|---|---|", *rows, ""]
    return "\n".join(lines) + "\n"


# -- the order of pages --

SECTIONS: Sequence[tuple[str, Sequence[str]]] = (
    ("Start", ("index.md", "start.md")),
    ("How to", ("howto/*.md",)),
    ("Operate", ("operate/production.md", "operate/*.md")),
    ("Reference", ("operate/settings.md", "reference/nodes/README.md", "reference/nodes/*.md", "reference/*.md")),
    ("Explain", ("architecture/*.md", "explain/*.md", "decisions/README.md", "decisions/*.md", "glossary.md")),
    ("Developers", ("developers/*.md", "log.md", "changelog.md")),
)


def navigation(pages: Path) -> list[dict[str, Any]]:
    """All pages in their sections, each once. Raises :class:`ValueError` for a page that no section has."""
    taken: set[str] = set()
    found = [{title: list(_new(pages, patterns, taken))} for title, patterns in SECTIONS]
    everything = {path.relative_to(pages).as_posix() for path in pages.rglob("*.md")}
    if everything != taken:
        raise ValueError(f"no section has {sorted(everything - taken)}")
    return found


def _new(pages: Path, patterns: Iterable[str], taken: set[str]) -> Iterator[str]:
    for pattern in patterns:
        for path in sorted(pages.glob(pattern)):
            name = path.relative_to(pages).as_posix()
            if name not in taken and not (name == "operate/settings.md" and pattern == "operate/*.md"):
                taken.add(name)
                yield name


if __name__ == "__main__":
    write(Path(sys.argv[1]))
    print(json.dumps({"pages": len(list(Path(sys.argv[1]).rglob("*.md")))}))
