"""A server with two engines: Safelight's own, and a ComfyUI (a stand-in with the same surfaces), each with packs of its
own."""

import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.server import LIMIT_S, Server, launch
from tests.ray_cluster import Nodes

STANDIN = Path(__file__).parents[1] / "comfyui" / "standin"

SHARED = '''
class Where:
    """Show which engine runs it."""

    INPUT_TYPES = classmethod(lambda cls: {{"required": {{"mode": (["plain", {mode!r}],)}}}})
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    def run(self, mode):
        return {{"ui": {{"text": [{engine!r}]}}}}


class {only}(Where):
    pass


NODE_CLASS_MAPPINGS = {{"Where": Where, "{only}": {only}}}
'''
ROUTE = """
import time
import folder_paths
from aiohttp import web
from server import PromptServer


@PromptServer.instance.routes.get("/there/hello")
async def hello(request):
    return web.json_response("hello from there")


class LoadThere:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"name": (folder_paths.get_filename_list("checkpoints"),)}})
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    def run(self, name):
        return {"ui": {"text": [folder_paths.get_full_path("checkpoints", name)]}}


class Sleep:
    INPUT_TYPES = classmethod(lambda cls: {"required": {}})
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    def run(self):
        time.sleep(600)


WEB_DIRECTORY = "web"
NODE_CLASS_MAPPINGS |= {"Sleep": Sleep, "LoadThere": LoadThere}
"""


def write_packs(folder: Path) -> tuple[Path, Path]:
    """The node packs of our own engine, and a ComfyUI with packs of its own."""
    ours, root = folder / "packs", folder / "ComfyUI"
    shutil.copytree(STANDIN, root)
    (ours / "here").mkdir(parents=True)
    (ours / "here" / "__init__.py").write_text(SHARED.format(engine="ours", only="OnlyHere", mode="old"))
    there = root / "custom_nodes" / "there"
    (there / "web").mkdir(parents=True)
    (there / "__init__.py").write_text(SHARED.format(engine="theirs", only="OnlyThere", mode="new") + ROUTE)
    (there / "web" / "there.js").write_text("export const there = true")
    return ours, root


def serve(folder: Path, **settings: str) -> Server:
    ours, root = folder / "packs", folder / "ComfyUI"
    engines = ("--engine", f"comfyui={root}:{sys.executable}", "--engine", "safelight")
    environment = {f"SAFELIGHT_{name}": value for name, value in settings.items()}
    return launch(folder / "data", *engines, "--custom-nodes", str(ours), environment=environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    write_packs(folder)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    server = serve(folder)
    try:
        wait_for_both(server)
        yield server
    finally:
        server.stop()


def call(server: Server, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def wait_for_both(server: Server) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not {"OnlyHere", "OnlyThere"} <= call(server, "GET", "/api/object_info")[1].keys():
        assert time.monotonic() < deadline, server.lines
        time.sleep(0.1)


def submit(server: Server, *class_types: str, engine: str | None = None, mode: str = "plain") -> tuple[int, Any]:
    prompt = {
        str(number): {"class_type": name, "inputs": {} if name == "Sleep" else {"mode": mode}}
        for number, name in enumerate(class_types)
    }
    extra = {} if engine is None else {"engine": engine}
    return call(server, "POST", "/api/prompt", {"prompt": prompt, "extra_data": extra})


def job(server: Server, job_id: str, *, until: str = "completed") -> Any:
    deadline = time.monotonic() + LIMIT_S
    while True:
        _, found = call(server, "GET", f"/api/jobs/{job_id}")
        if found["status"] == until:
            return found
        assert found["status"] in ("pending", "in_progress"), found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def engine_of(server: Server, *class_types: str, engine: str | None = None, mode: str = "plain") -> str:
    """Which engine ran the prompt, as its node says."""
    status, answer = submit(server, *class_types, engine=engine, mode=mode)
    assert status == 200, answer
    found = job(server, answer["prompt_id"])
    return str(found["outputs"]["0"]["text"][0])


def test_the_nodes_of_both_engines_are_offered(server: Server) -> None:
    _, nodes = call(server, "GET", "/api/object_info")
    both = ["safelight", "comfyui"]
    assert [nodes[name]["engines"] for name in ("Where", "OnlyHere", "OnlyThere")] == [
        both,
        ["safelight"],
        ["comfyui"],
    ]
    assert nodes["Where"]["input"]["required"]["mode"][0] == ["plain", "old", "new"]


def test_each_job_runs_on_an_engine_that_can_run_it(server: Server) -> None:
    assert engine_of(server, "Where") == "ours"
    assert engine_of(server, "Where", engine="comfyui") == "theirs"
    assert engine_of(server, "Where", mode="new") == "theirs"
    assert engine_of(server, "OnlyThere") == "theirs"
    assert engine_of(server, "OnlyHere") == "ours"


def test_what_no_engine_can_run_is_refused_with_what_is_missing(server: Server) -> None:
    status, answer = submit(server, "OnlyThere", engine="safelight")
    assert (status, answer["error"]["type"]) == (400, "missing_node_type")
    assert answer["error"]["details"] == "Node ID '#0'; the engine comfyui has it"
    status, answer = submit(server, "OnlyThere", "OnlyHere")
    assert status == 400
    assert answer["error"]["details"] == "safelight has no OnlyThere; comfyui has no OnlyHere"


def test_a_job_of_the_other_engine_is_cancelled_and_disturbs_nobody(server: Server) -> None:
    """The node never returns: its engine is killed, and a fresh one runs the next job."""
    _, answer = submit(server, "Sleep")
    sleeping = answer["prompt_id"]
    job(server, sleeping, until="in_progress")
    assert engine_of(server, "Where") == "ours"
    assert call(server, "POST", "/api/interrupt", {"prompt_id": sleeping})[0] == 200
    job(server, sleeping, until="cancelled")
    assert engine_of(server, "OnlyThere") == "theirs"


def test_a_new_model_in_the_folder_of_a_comfyui_can_be_used_at_once(server: Server, folder: Path) -> None:
    def offered() -> list[str]:
        _, nodes = call(server, "GET", "/api/object_info")
        return list(nodes["LoadThere"]["input"]["required"]["name"][0])

    assert "new.safetensors" not in offered()
    path = folder / "ComfyUI" / "models" / "checkpoints" / "new.safetensors"
    path.write_bytes(b"weights")
    deadline = time.monotonic() + LIMIT_S
    while "new.safetensors" not in offered():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    prompt = {"0": {"class_type": "LoadThere", "inputs": {"name": "new.safetensors"}}}
    status, answer = call(server, "POST", "/api/prompt", {"prompt": prompt})
    assert status == 200, answer
    assert job(server, answer["prompt_id"])["outputs"]["0"]["text"] == [str(path)]


def test_the_packs_of_a_comfyui_serve_their_routes_and_scripts(server: Server) -> None:
    assert call(server, "GET", "/there/hello") == (200, "hello from there")
    assert "/extensions/there/there.js" in call(server, "GET", "/api/extensions")[1]


def test_status_names_both_engines(server: Server) -> None:
    _, schedule = call(server, "GET", "/api/admin/schedule")
    versions = {slot["engine"]: slot["version"].split()[0] for slot in schedule["slots"]}
    assert versions == {"safelight": "Safelight", "comfyui": "ComfyUI"}


def test_a_restarted_server_knows_the_nodes_of_both_engines_at_once(server: Server, folder: Path) -> None:
    server.stop()
    again = serve(folder)
    try:
        _, nodes = call(again, "GET", "/api/object_info")
        assert {"OnlyHere", "OnlyThere"} <= nodes.keys()
        assert engine_of(again, "OnlyThere") == "theirs"
    finally:
        again.stop()


@pytest.mark.slow
def test_a_comfyui_runs_on_the_machine_of_a_cluster_that_has_it(ray_nodes: Nodes, tmp_path: Path) -> None:
    write_packs(tmp_path)
    node = ray_nodes.add(slots=1, theirs="yes")
    server = serve(tmp_path, BACKEND="ray", RAY_ADDRESS=ray_nodes.address, POOLS="theirs=1")
    try:
        wait_for_both(server)
        _, schedule = call(server, "GET", "/api/admin/schedule")
        assert {slot["id"]: (slot["engine"], slot["labels"]) for slot in schedule["slots"]} == {
            "ray-comfyui-0": ("comfyui", ["theirs"]),
            "ray-0": ("safelight", []),
        }
        assert engine_of(server, "OnlyThere") == "theirs"
        assert engine_of(server, "Where") == "ours"
    finally:
        server.stop()
        ray_nodes.remove(node)
