"""The vendor's unmodified SDKs, installed from their registries into environments of their own."""

import os
import shutil
import subprocess
import venv
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tests.api.engine import fail_first, run_all, start_only
from tests.contract.fuzzing import Address, served

from safelight.wire.messages import RunJob, ToServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SDKS = Path(__file__).parent / "sdks"
PYTHON_SDK, TYPESCRIPT_SDK = "comfy-sdk==0.5.0", "@comfyorg/sdk@0.1.9"


def by_prefix(job: RunJob) -> Iterable[ToServer]:
    """The file prefix in the prompt decides what happens to the job."""
    prefixes = {node["inputs"].get("filename_prefix") for node in job.prompt.values()}
    return (fail_first if "fail" in prefixes else start_only if "wait" in prefixes else run_all)(job)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Address]:
    with served(tmp_path_factory.mktemp("sdks"), migrated, script=by_prefix) as address:
        yield address


def run(command: list[str], *, cwd: Path, address: Address | None = None) -> list[str]:
    env = dict(os.environ)
    if address is not None:
        env |= {"COMFY_BASE_URL": address.url, "COMFY_API_KEY": address.key}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


def test_the_python_sdk_does_its_whole_work(address: Address, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    run([python, "-m", "pip", "install", "-q", PYTHON_SDK], cwd=tmp_path)
    passed = run([python, str(SDKS / "checks.py"), str(tmp_path)], cwd=tmp_path, address=address)
    assert passed == [
        "upload_and_dedupe", "submit_wait_and_download", "events", "cancel", "labels_and_list", "workflow", "delete",
        "failed_job", "errors",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs node and npm")
def test_the_typescript_sdk_does_its_whole_work(address: Address, tmp_path: Path) -> None:
    run(["npm", "install", "--no-audit", "--no-fund", "--silent", TYPESCRIPT_SDK], cwd=tmp_path)
    shutil.copy(SDKS / "checks.mjs", tmp_path)
    passed = run(["node", "checks.mjs"], cwd=tmp_path, address=address)
    expected = ["uploadAndDedupe", "submitWaitAndDownload", "events", "cancel", "workflow", "remove", "errors"]
    assert passed == expected
