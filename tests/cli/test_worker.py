"""``safelight worker``: a machine joins the cluster with its GPUs, slots and pools."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.cli.server import LIMIT_S, safelight
from tests.ray_cluster import Nodes

from safelight.cli.worker import node_command, node_environment


def test_a_machine_offers_its_gpus_or_one_slot() -> None:
    def offered(*, slots: int | None, gpus: int, pools: tuple[str, ...] = ()) -> list[str]:
        command = node_command(["--address=h:1"], node_ip=None, slots=slots, gpus=gpus, pools=pools)
        return [word for word in command if word.startswith(("--num-", "--resources", "--labels"))]

    assert offered(slots=None, gpus=2) == ["--num-gpus=2"]
    assert offered(slots=1, gpus=2) == ["--num-gpus=1"]
    assert offered(slots=0, gpus=2) == ["--num-cpus=0", "--num-gpus=0"]
    assert offered(slots=None, gpus=0) == ['--resources={"safelight-slot": 1}']
    assert offered(slots=0, gpus=0) == ["--num-cpus=0", "--num-gpus=0"]
    labels = "--labels=safelight-pool/large=yes,safelight-pool/fast=yes"
    assert offered(slots=0, gpus=0, pools=("large", "fast")) == ["--num-cpus=0", "--num-gpus=0", labels]


def test_a_token_is_required_by_the_cluster(tmp_path: Path) -> None:
    token = tmp_path / "token"
    assert "RAY_AUTH_MODE" not in node_environment({"PATH": "/bin"}, token_file=None)
    assert node_environment({}, token_file=token)["RAY_AUTH_TOKEN_PATH"] == str(token)
    assert node_environment({}, token_file=token)["RAY_AUTH_MODE"] == "token"
    assert node_environment({"RAY_AUTH_TOKEN": "x"}, token_file=None)["RAY_AUTH_MODE"] == "token"


def test_a_machine_is_either_the_head_or_joins_one() -> None:
    for arguments in ([], ["--head", "--address", "h:1"]):
        ran = safelight("worker", *arguments)
        assert ran.returncode == 2
        assert "--head to start a cluster, or --address" in ran.stderr


def test_a_machine_joins_and_leaves(ray_nodes: Nodes) -> None:
    command = [sys.executable, "-m", "safelight.cli", "worker", "--address", ray_nodes.address, "--slots", "3"]
    process = subprocess.Popen(
        [*command, "--pool", "joined"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        node = _joined(process)
        assert node["Resources"].get("safelight-slot", node["Resources"].get("GPU")) == 3
        process.terminate()
        process.communicate(timeout=LIMIT_S)
        assert _find() is None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _joined(process: "subprocess.Popen[bytes]") -> Any:
    deadline = time.monotonic() + LIMIT_S
    while (node := _find()) is None:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return node


def _find() -> Any:
    import ray

    return next((n for n in ray.nodes() if n["Alive"] and n["Labels"].get("safelight-pool/joined") == "yes"), None)
