"""What nodes in a real server's worker can do to the machine: a pack tries, and reports the results."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.cli.server import LIMIT_S, Server, launch, running, wait_for_nodes

from safelight.sandbox import landlock

PACK = Path(__file__).parent / "packs" / "curious"
SECRET = "canary-7f3a"


@contextmanager
def site(folder: Path, **settings: str) -> Iterator[tuple[Server, dict[str, Any]]]:
    """A server with a model, the pack and secrets in its environment, and the facts that the pack needs."""
    (folder / "models/checkpoints").mkdir(parents=True)
    (folder / "models/checkpoints/a.safetensors").write_text("weights")
    shutil.copytree(PACK, folder / "packs/curious", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {
        "SAFELIGHT_CUSTOM_NODES": str(folder / "packs"),
        "SAFELIGHT_MODELS_DIR": str(folder / "models"),
        "SAFELIGHT_HUGGINGFACE_TOKEN": SECRET,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        **{f"SAFELIGHT_{name.upper()}": value for name, value in settings.items()},
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = launch(folder / "data", environment=environment)
        try:
            wait_for_nodes(server.url)
            known = {"data_dir": str(folder / "data"), "models": str(folder / "models")}
            yield server, known | {"port": listener.getsockname()[1]}
        finally:
            server.stop()


def ask(url: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(url + path, None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        return json.load(answer)


def run(server: Server, prompt: dict[str, Any]) -> dict[str, Any]:
    """Wait for the job to complete, and return it."""
    job_id = ask(server.url, "/api/prompt", {"prompt": prompt})["prompt_id"]
    deadline = time.monotonic() + LIMIT_S
    while (job := ask(server.url, f"/api/jobs/{job_id}"))["status"] not in ("completed", "failed"):
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    assert job["status"] == "completed", job
    return dict(job)


def look(server: Server, known: dict[str, Any]) -> dict[str, str]:
    job = run(server, {"1": {"class_type": "Curious", "inputs": known}})
    return dict(line.split(": ", 1) for line in job["outputs"]["1"]["text"])


def lacks(server: Server, subject: str) -> bool:
    """Whether the server has warned that this machine cannot enforce it."""
    return any(f"less confined than they should be; {subject}" in line for line in server.lines)


def test_a_worker_is_confined(tmp_path: Path) -> None:
    with site(tmp_path) as (server, known):
        seen = look(server, known)
        assert SECRET not in seen["environment"]
        assert "SAFELIGHT" not in seen["environment"]
        assert Path(seen["temp"]).stat().st_mode & 0o777 == 0o700
        assert Path(seen["home"]) == tmp_path / "data/workers/homes/local-0"
        assert seen["no_new_privs"] == "1"
        assert (seen["to_temp"], seen["to_home"], seen["to_pack"]) == ("written",) * 3
        assert seen["model"] == "weights"
        assert lacks(server, "files") == (landlock.version() == 0)
        if not lacks(server, "files"):
            assert {seen["to_models"], seen["to_data"], seen["to_database"]} <= {"PermissionError", "OSError"}
            assert seen["database"] == "PermissionError", "not even to be read"
            assert (tmp_path / "models/checkpoints/a.safetensors").read_text() == "weights"
        if not (lacks(server, "network") and landlock.version() < 4):
            assert seen["tcp"] != "connected"
        if not lacks(server, "network"):
            assert seen["udp"] == "OSError"
        if os.geteuid() == 0:
            assert any("workers run as root" in line for line in server.lines)
        temp = Path(seen["temp"])
        assert (temp / "mine").exists()
        server.stop(signal.SIGKILL)
    assert (temp / "mine").exists()
    with running(tmp_path / "data") as server:
        wait_for_nodes(server.url)
        assert temp.exists()
        assert not (temp / "mine").exists(), "the next server has swept it"
        server.stop()
    assert not temp.parent.exists()
    assert (tmp_path / "packs/curious/__init__.py").read_text() == (PACK / "__init__.py").read_text()
    assert not (tmp_path / "packs/curious/written.json").exists(), "what a pack writes is in its copy"


def test_what_packs_need_can_be_allowed(tmp_path: Path) -> None:
    with site(tmp_path, worker_network="true", worker_writable=str(tmp_path / "models")) as (server, known):
        seen = look(server, known)
        assert (seen["tcp"], seen["to_models"]) == ("connected", "written")
        assert seen["to_data"] in ("PermissionError", "OSError") or lacks(server, "files")
        assert not lacks(server, "network")


def can_start_as_another(folder: Path) -> bool:
    """Whether this process may change to ``nobody``, and ``nobody`` can read the interpreter and reach the folder."""
    code = "import os; os.setgroups([]); os.setresuid(65534, 65534, 65534)"
    if subprocess.run([sys.executable, "-S", "-c", code], capture_output=True).returncode:
        return False
    places = (Path(sys.executable).resolve(), Path(sys.prefix), Path(__file__), folder)
    return all(p.stat().st_mode & 0o005 == 0o005 for place in places for p in (place, *place.parents) if p.is_dir())


def test_workers_of_a_root_server_run_as_another_account(public_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can run workers as another user")
    if not can_start_as_another(public_path):
        pytest.skip("no process can become another user here, or it could not read this checkout and its Python")
    nobody = pwd.getpwnam("nobody")
    with site(public_path, worker_user="nobody") as (server, known):
        seen = look(server, known)
        assert seen["uid"] == str(nobody.pw_uid)
        assert seen["database"] == "PermissionError", "not even to be read"
        assert (seen["to_temp"], seen["model"]) == ("written", "weights")
        prompt = {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 255}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
        }
        [image] = run(server, prompt)["outputs"]["2"]["images"]
        query = f"filename={image['filename']}&type=output&subfolder="
        with urllib.request.urlopen(f"{server.url}/api/view?{query}", timeout=LIMIT_S) as answer:
            assert Image.open(answer).size == (8, 8)
        blobs = [path for path in (public_path / "data/blobs/b3").rglob("*") if path.is_file()]
        assert blobs
        assert {path.stat().st_uid for path in blobs} == {0}, "the worker cannot change what it has handed over"


def test_an_unusable_worker_account_is_reported_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "safelight.cli", "serve", "--port", "0", "--data-dir", str(tmp_path)]
    environment = dict(os.environ) | {"SAFELIGHT_WORKER_USER": "nosuch"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert (ran.returncode, ran.stderr) == (1, "safelight: worker_user: the system has no account 'nosuch'\n")
