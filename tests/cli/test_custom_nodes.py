"""A server with a folder of node packs: a prompt that their nodes refuse is refused when it is submitted."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.server import Server, running, wait_for_nodes

PACKS = Path(__file__).parents[1] / "dispatch" / "packs"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("data"), "--custom-nodes", str(PACKS)) as server:
        wait_for_nodes(server.url)
        yield server


def submit(server: Server, value: int) -> tuple[int, Any]:
    body = {"prompt": {"1": {"class_type": "Even", "inputs": {"value": value}}}}
    request = urllib.request.Request(f"{server.url}/prompt", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=180) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_refusal_by_a_node_is_a_400(server: Server) -> None:
    status, answer = submit(server, 3)
    assert status == 400
    assert answer["error"]["type"] == "prompt_outputs_failed_validation"
    [error] = answer["node_errors"]["1"]["errors"]
    assert (error["type"], error["details"]) == ("custom_validation_failed", "value - 3 is odd")
    assert submit(server, 4)[0] == 200


def test_the_catalogue_names_the_pack_of_a_node(server: Server) -> None:
    with urllib.request.urlopen(f"{server.url}/object_info/Number", timeout=180) as answer:
        info = json.load(answer)["Number"]
    assert (info["display_name"], info["python_module"]) == ("A Number", "custom_nodes.trial")
