"""A small installation of the web UI's packages, with every kind of file."""

import json
from pathlib import Path

import pytest

from safelight.web.packages import BLUEPRINTS, FRONTEND, TEMPLATES, Packages

SCRIPT = b"export const lamp = 'red';\n" * 100


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    frontend = tmp_path / "frontend"
    files = {
        "index.html": b"<!doctype html><div id=app></div>",
        "assets/main-DJwEkTJ_.js": SCRIPT,
        "assets/main-DJwEkTJ_.js.map": b"{}",
        "assets/favicon.ico": b"\0" * 20,
        "assets/images/default-template.png": b"\x89PNG",
        "scripts/app.js": SCRIPT,
        "extensions/core/dummy.js": b"//",
        "fonts/inter.woff2": b"wOF2" * 600,
    }
    for name, body in files.items():
        _write(frontend / name, body)
    _write(tmp_path / "templates_json" / "index.json", b'[{"templates": []}]' * 100)
    _write(tmp_path / "templates_json" / "flux.json", b'{"nodes": []}')
    _write(tmp_path / "templates_media" / "flux-1.webp", b"RIFF")
    _write(tmp_path / "docs" / "KSampler" / "en.md", "# Sämpler\n".encode() * 200)
    blueprint = {
        "nodes": [{"id": 1, "type": "u"}],
        "definitions": {"subgraphs": [{"id": "u", "name": "Brightness", "category": "Image Tools/Colour"}]},
        "extra": {"BlueprintSearchAliases": ["light"]},
    }
    _write(tmp_path / "blueprints" / "brightness.json", json.dumps(blueprint, indent=4).encode())
    _write(tmp_path / "secret.txt", b"not yours")
    return Packages(
        frontend=frontend,
        templates=(tmp_path / "templates_json", tmp_path / "templates_media"),
        docs=tmp_path / "docs",
        blueprints=tmp_path / "blueprints",
        versions={FRONTEND: "1.0", TEMPLATES: "2.0", BLUEPRINTS: "3.0"},
    )


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
