"""``safelight doctor`` on node packs and confinement: each pack is loaded as a worker does, even one that crashes."""

import os
import sys
from pathlib import Path

from tests.cli.server import safelight

from safelight.settings import Settings, default_account

GOOD = """
class One:
    INPUT_TYPES = classmethod(lambda cls: {"required": {}})
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    def run(self):
        return (1,)


NODE_CLASS_MAPPINGS = {"DoctorsOne": One}
"""


def test_each_pack_is_reported_with_its_own_result(tmp_path: Path) -> None:
    packs = tmp_path / "packs"
    packs.mkdir()
    (packs / "deadly.py").write_text("import os\nos.abort()\n")
    (packs / "good.py").write_text(GOOD)
    (packs / "poor.py").write_text("import a_library_that_nobody_has\n")
    ran = safelight("doctor", "--data-dir", str(tmp_path / "data"), "--port", "0", "--custom-nodes", str(packs))
    assert ran.returncode == 0, ran.stdout
    lines = {
        line.split(":")[0].split("Node pack ")[-1]: line for line in ran.stdout.splitlines() if "Node pack" in line
    }
    assert "1 nodes" in lines["good"]
    assert "a_library_that_nobody_has" in lines["poor"]
    assert "process ended" in lines["deadly"]


def test_a_comfyui_is_reported_with_its_version_its_packs_and_what_it_lacks(tmp_path: Path) -> None:
    root = tmp_path / "ComfyUI"
    pack = root / "custom_nodes" / "pack"
    pack.mkdir(parents=True)
    (root / "main.py").touch()
    (root / "comfyui_version.py").write_text('__version__ = "0.8.0"\n')
    (root / "requirements.txt").write_text(
        "torch\na-library-that-nobody-has>=2\n# a comment\nonly-on-windows; sys_platform\n"
    )
    (pack / "requirements.txt").write_text("another-that-nobody-has\n")
    engine = f"comfyui={root}:{sys.executable}"
    ran = safelight("doctor", "--data-dir", str(tmp_path / "data"), "--port", "0", "--engine", engine)
    assert ran.returncode == 0, ran.stdout
    told = "\n".join(line for line in ran.stdout.splitlines() if "Engine comfyui" in line)
    assert f"ComfyUI 0.8.0 in {root}, node packs: pack" in told
    assert "PyTorch 2." in told
    assert f"it needs a-library-that-nobody-has, which {sys.executable} does not have" in told
    assert "its node pack pack needs another-that-nobody-has" in told
    assert "only-on-windows" not in told


def test_it_reports_how_far_workers_are_confined(tmp_path: Path) -> None:
    ran = safelight("doctor", "--data-dir", str(tmp_path / "data"), "--port", "0")
    lines = [line for line in ran.stdout.splitlines() if " Workers: " in line]
    assert any("are less confined than they should be" in line or "confined: files, network" in line for line in lines)
    account, reason = default_account(Settings.of(data_dir=tmp_path / "data"))
    if account is not None:
        assert any(f"run as account {account.uid}" in line for line in lines)
    elif os.geteuid() == 0:
        assert any("run as root" in line and reason in line for line in lines), "it says why"
    else:
        assert not any("run as" in line for line in lines)


def test_workers_may_be_allowed_to_run_as_root(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        return
    environment = {"SAFELIGHT_WORKER_USER": "root"}
    ran = safelight("doctor", "--data-dir", str(tmp_path / "data"), "--port", "0", environment=environment)
    [line] = [line for line in ran.stdout.splitlines() if "run as root" in line]
    assert "nobody" not in line
