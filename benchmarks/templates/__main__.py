"""``python -m benchmarks.templates [--only NAME ...] [--cache DIR]``: see the package."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.own_server import own_server
from benchmarks.templates import inputs, model_files, running
from benchmarks.templates.catalogue import Template, templates
from benchmarks.templates.conversion import Graph, NotConverted, converted
from benchmarks.templates.smaller import smaller
from benchmarks.templates.table import Row, page

import safelight.nodes
from safelight.sdk.registry import discover
from safelight.web.packages import FRONTEND, TEMPLATES, find_packages

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "templates.md"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SHOWN = 160
"""Letters of a reason in the table."""


def main() -> None:
    options = _options()
    every = templates()
    chosen = [one for one in every if not options.only or one.name in options.only]
    types = discover(safelight.nodes).keys()
    rows = _kept(options.cache / "results.json")
    for template in chosen:
        if missing := sorted(template.node_types() - types):
            rows[template.name] = _row(template, f"missing node type: {', '.join(missing)}")
    complete = [one for one in chosen if not one.node_types() - types]
    if options.failed:
        complete = [one for one in complete if (row := rows.get(one.name)) is None or row.reason]
    models = options.cache / "models"
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir(parents=True)
    with own_server(environment={"SAFELIGHT_MODELS_DIR": str(models)}) as server:
        ready: list[tuple[Template, Graph]] = []
        for template, graph in converted(
            server.url, complete, browser=_browser(), cache=options.cache / "graphs", version=_version()
        ):
            if isinstance(graph, NotConverted):
                rows[template.name] = _row(template, f"not converted: {graph}")
            elif lacking := _without_miniature(template, graph, models):
                rows[template.name] = _row(template, f"family not built: {', '.join(lacking)}")
            else:
                ready.append((template, graph))
        running.wait_for_models(server.url, models)
        for template, graph in ready:
            rows[template.name] = row = _ran(server.url, template, graph, limit_s=options.limit)
            print(f"{row.seconds:6.1f} s  {row.name}: {row.reason or 'runs'}", flush=True)
            _keep(options.cache / "results.json", rows)
    _keep(options.cache / "results.json", rows)
    table = [rows[one.name] for one in every if one.name in rows]
    print(f"{sum(not row.reason for row in table)} of {len(table)} run")
    if len(table) == len(every):
        PAGE.write_text(page(table), "utf-8")


def _without_miniature(template: Template, graph: Graph, models: Path) -> list[str]:
    """Write the model files of a graph; returns those whose layout no miniature has."""
    lacking = set()
    for folder, name in model_files.wanted(graph, template.folders):
        try:
            model_files.write(models, folder, name)
        except model_files.NoMiniature as error:
            lacking.add(str(error))
    return sorted(lacking)


def _ran(url: str, template: Template, graph: Graph, *, limit_s: float) -> Row:
    for name, content in inputs.named_files(graph):
        running.upload(url, name, content)
    ending = running.run(url, smaller(graph), limit_s=limit_s)
    reason = f"error: {ending.reason}" if ending.reason else ""
    return replace(_row(template, reason), files=ending.files, seconds=round(ending.seconds, 1))


def _row(template: Template, reason: str) -> Row:
    return Row(template.name, template.usage, template.models, reason[:SHOWN])


def _version() -> str:
    packages = find_packages()
    return f"{packages.version(FRONTEND)} {packages.version(TEMPLATES)}"


def _browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return found or sys.exit("Chromium is not installed (Debian: apt-get install chromium)")


def _kept(path: Path) -> dict[str, Row]:
    if not path.is_file():
        return {}
    kept = json.loads(path.read_text("utf-8"))
    return {name: Row(**{**row, "models": tuple(row["models"])}) for name, row in kept.items()}


def _keep(path: Path, rows: Mapping[str, Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: asdict(row) for name, row in rows.items()}, indent=1), "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.templates", description=__doc__)
    default = Path(tempfile.gettempdir()) / "safelight-templates"
    parser.add_argument("--cache", type=Path, default=default, help="graphs, models and results (default: %(default)s)")
    parser.add_argument("--only", nargs="+", default=(), help="names of templates")
    parser.add_argument("--failed", action="store_true", help="leave out what ran before")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds for one template")
    return parser.parse_args()


if __name__ == "__main__":
    main()
