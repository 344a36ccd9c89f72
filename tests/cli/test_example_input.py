"""A new installation has an example input, for the local user and for accounts."""

import json
import urllib.request
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from tests.cli.server import running, safelight, wait_for_nodes


def get(url: str, **headers: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return bytes(answer.read())


def choices(url: str, **headers: str) -> Any:
    """The files that LoadImage lists for the caller."""
    return json.loads(get(f"{url}/object_info/LoadImage", **headers))["LoadImage"]["input"]["required"]["image"][0]


def test_the_local_user_of_a_new_installation_has_it_until_they_delete_it(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        wait_for_nodes(server.url, "LoadImage")
        assert choices(server.url) == ["example.png"]
        with Image.open(BytesIO(get(f"{server.url}/view?filename=example.png&type=input"))) as picture:
            assert picture.size == (512, 512)
        (asset,) = json.loads(get(f"{server.url}/api/assets?include_tags=input"))["assets"]
        deletion = urllib.request.Request(f"{server.url}/api/assets/{asset['id']}", method="DELETE")
        with urllib.request.urlopen(deletion) as answer:
            assert answer.status == 204
        assert choices(server.url) == []
    with running(tmp_path) as server:
        wait_for_nodes(server.url, "LoadImage")
        assert choices(server.url) == []


def test_accounts_have_it_whether_added_before_the_first_start_or_later(tmp_path: Path) -> None:
    keys = []

    def add(name: str) -> None:
        assert safelight("user", "add", name, "--no-password", "--data-dir", str(tmp_path)).returncode == 0
        keys.append(safelight("key", "create", name, "--data-dir", str(tmp_path)).stdout.strip())

    add("anna")
    with running(tmp_path) as server:
        add("bert")
        for key in keys:
            assets = json.loads(get(f"{server.url}/api/assets", **{"X-API-Key": key}))["assets"]
            assert [asset["name"] for asset in assets] == ["example.png"]


def test_a_setting_leaves_it_out(tmp_path: Path) -> None:
    with running(tmp_path, environment={"SAFELIGHT_EXAMPLE_INPUT": "0"}) as server:
        assert json.loads(get(f"{server.url}/api/assets"))["assets"] == []
