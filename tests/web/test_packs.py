"""What node packs provide for the web UI is found in their folders; a broken file is skipped."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from tests.web.asgi import fetch_blueprints, scope

from safelight.web.packages import Packages
from safelight.web.packs import Packs, read_packs
from safelight.web.site import Web


def put(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def packs(tmp_path: Path) -> Packs:
    lamp, film = tmp_path / "custom" / "lamp", tmp_path / "custom" / "film"
    put(lamp / "example_workflows" / "red light.json", {"nodes": [1]})
    put(lamp / "example_workflows" / "red light.jpg", "JPEG")
    put(lamp / "locales" / "de" / "main.json", {"dialog": {"open": "Öffnen"}})
    put(lamp / "locales" / "de" / "nodeDefs.json", {"Lamp": {"display_name": "Lampe"}})
    put(film / "locales" / "de" / "main.json", {"dialog": {"open": "Anders", "close": "Schließen"}})
    put(film / "locales" / "fr" / "main.json", "no json")
    put(film / "subgraphs" / "Develop.json", {"nodes": []})
    put(film / "subgraphs" / "Broken.json", "{")
    put(film / "workflow" / "readme.txt", "no workflow")
    put(tmp_path / "custom" / "single.py", "")
    return read_packs([tmp_path / "custom", tmp_path / "absent"], web_directories={"lamp": str(lamp / "js")})


def test_translations_of_packs_are_joined(packs: Packs) -> None:
    assert packs.translations == {
        "de": {
            "dialog": {"open": "Anders", "close": "Schließen"},
            "nodeDefs": {"Lamp": {"display_name": "Lampe"}},
        }
    }


def test_example_workflows_are_listed_by_pack(packs: Packs, tmp_path: Path) -> None:
    assert packs.template_names() == {"lamp": ["red light"]}
    assert packs.scripts == {"lamp": tmp_path / "custom" / "lamp" / "js"}


def test_a_web_folder_outside_of_all_packs_is_not_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A worker names these folders, and their files are served to everybody."""
    put(tmp_path / "custom/lamp/js/lamp.js", "")
    put(tmp_path / "secret/key", "")
    (tmp_path / "custom/lamp/link").symlink_to(tmp_path / "secret")
    named = {
        "lamp": str(tmp_path / "custom/lamp/js"),
        "secret": str(tmp_path / "secret"),
        "up": str(tmp_path / "custom/lamp/../../secret"),
        "link": str(tmp_path / "custom/lamp/link"),
        "all": str(tmp_path / "custom"),
    }
    with caplog.at_level(logging.WARNING):
        assert set(read_packs([tmp_path / "custom"], web_directories=named).scripts) == {"lamp"}
    assert f"the web folder {tmp_path / 'secret'} of the node pack secret" in caplog.text


def test_a_broken_file_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "pack" / "subgraphs" / "Broken.json", "{")
    with caplog.at_level(logging.WARNING):
        assert read_packs([tmp_path], web_directories={}).blueprints == {}
    assert "Broken.json cannot be used" in caplog.text


@pytest.mark.anyio
async def test_blueprints_of_packs_join_the_others(packages: Packages, packs: Packs, tmp_path: Path) -> None:
    web = Web(packages, cache_dir=tmp_path / "cache")
    before = json.loads((await fetch_blueprints(web)).body)
    web.use_packs(packs)
    after = json.loads((await fetch_blueprints(web)).body)
    [added] = after.keys() - before.keys()
    assert after == before | {added: web.global_subgraph(added)}
    assert (after[added]["name"], after[added]["source"]) == ("Develop", "custom_node")
    assert after[added]["info"] == {"node_pack": "custom_nodes.film"}
    assert json.loads(after[added]["data"]) == {"nodes": []}
    bare = Web(Packages(), cache_dir=tmp_path / "cache")
    bare.use_packs(packs)
    assert json.loads((await fetch_blueprints(bare)).body).keys() == {added}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("pack", "name", "status"),
    [
        ("lamp", "red light.json", 200),
        ("lamp", "red light.jpg", 200),
        ("lamp", "../../film/subgraphs/Develop.json", None),
        ("lamp", "blue.json", None),
        ("film", "Develop.json", None),
    ],
)
async def test_examples_are_served(packs: Packs, tmp_path: Path, pack: str, name: str, status: int | None) -> None:
    web = Web(Packages(), cache_dir=tmp_path / "cache")
    web.use_packs(packs)
    response = await web.template(pack, name, Request(scope("/", None, method="GET")))
    assert (response.status_code if response else None) == status
