"""``safelight doctor`` on node packs: each is loaded as a worker would, whatever it does."""

from pathlib import Path

from tests.cli.server import safelight

GOOD = """
class One:
    INPUT_TYPES = classmethod(lambda cls: {"required": {}})
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    def run(self):
        return (1,)


NODE_CLASS_MAPPINGS = {"DoctorsOne": One}
"""


def test_packs_are_told_apart_by_what_becomes_of_them(tmp_path: Path) -> None:
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
