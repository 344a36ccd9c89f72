"""``safelight import comfyui`` as an operator runs it."""

import time
from pathlib import Path

from tests.cli.client import get
from tests.cli.server import LIMIT_S, running, wait_for_nodes
from tests.cli.test_model import safelight


def put(path: Path, data: bytes = b"data") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_a_comfyui_is_taken_over_into_an_account(tmp_path: Path) -> None:
    root, data = tmp_path / "ComfyUI", tmp_path / "data"
    put(root / "main.py")
    put(root / "output/a.png", b"\x89PNG\r\n\x1a\na")
    put(root / "input/b.png", b"\x89PNG\r\n\x1a\nb")
    put(root / "user/default/workflows/one.json", b'{"nodes": []}')
    put(root / "models/checkpoints/m.safetensors")
    put(root / "extra_model_paths.yaml", f"more:\n  base_path: {tmp_path}/gone\n  loras: loras\n".encode())
    data.mkdir()
    made = safelight("user", "add", "anna", "--no-password", "--data-dir", data)
    assert made.returncode == 0, made.stderr
    before = sorted(str(path) for path in root.rglob("*"))
    ran = safelight("import", "comfyui", root, "--user", "anna", "--data-dir", data)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "outputs: 1 added, 0 already there" in ran.stdout
    assert "inputs: 1 added, 0 already there" in ran.stdout
    assert "workflows: 1 added, 0 already there" in ran.stdout
    assert f"safelight serve --engine comfyui={root}" in ran.stdout
    assert f"{tmp_path}/gone/loras, which extra_model_paths.yaml names, does not exist" in ran.stdout
    assert sorted(str(path) for path in root.rglob("*")) == before
    again = safelight("import", "comfyui", root, "--user", "anna", "--data-dir", data)
    assert "outputs: 0 added, 1 already there" in again.stdout
    assert "workflows: 0 added, 1 already there" in again.stdout


def test_a_folder_that_is_no_comfyui_and_a_user_that_does_not_exist_are_named(tmp_path: Path) -> None:
    ran = safelight("import", "comfyui", tmp_path, "--data-dir", tmp_path / "data")
    assert (ran.returncode, ran.stderr) == (1, f"safelight: no main.py in '{tmp_path}'\n")
    put(tmp_path / "main.py")
    assert safelight("user", "add", "anna", "--no-password", "--data-dir", tmp_path / "data").returncode == 0
    ran = safelight("import", "comfyui", tmp_path, "--user", "ben", "--data-dir", tmp_path / "data")
    assert (ran.returncode, ran.stderr) == (1, "safelight: there is no user 'ben'\n")


def test_a_running_server_offers_the_imported_inputs(tmp_path: Path) -> None:
    root = tmp_path / "ComfyUI"
    put(root / "main.py")
    put(root / "input/imported.png", b"\x89PNG\r\n\x1a\nb")
    with running(tmp_path / "data") as server:
        wait_for_nodes(server.url, "LoadImage")

        def offered() -> list[str]:
            inputs = get(f"{server.url}/api/object_info")["LoadImage"]["input"]["required"]
            return list(inputs["image"][0])

        assert "imported.png" not in offered()
        assert safelight("import", "comfyui", root, "--data-dir", tmp_path / "data").returncode == 0
        deadline = time.monotonic() + LIMIT_S
        while "imported.png" not in offered():
            assert time.monotonic() < deadline
            time.sleep(0.1)
