"""The layers of the design, enforced: `.importlinter` holds them, and no package may be missing from it."""

import configparser
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_layers_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_part_is_in_a_layer() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = {
        name.strip()
        for contract in ("server-column", "worker-column")
        for line in contracts[f"importlinter:contract:{contract}"]["layers"].split("\n")
        for name in line.split("|")
        if name.strip()
    } | {"safelight.settings"}
    parts = {
        f"safelight.{p.stem}"
        for p in (ROOT / "src/safelight").iterdir()
        if (p.is_dir() and (p / "__init__.py").exists())
        or (p.suffix == ".py" and p.stem not in ("__init__", "__main__"))
    }
    assert parts <= layers, f"not in any layer: {sorted(parts - layers)}"


def test_the_server_never_imports_torch() -> None:
    """Importing everything of the server column leaves torch and numpy outside: it must start in about a second."""
    code = (
        "import sys, pkgutil, importlib, safelight.app;"
        "[importlib.import_module(m.name) for p in ('api', 'services', 'dispatch', 'db', 'bus', 'web', 'cli')"
        " for pkg in [importlib.import_module(f'safelight.{p}')]"
        " for m in pkgutil.walk_packages(pkg.__path__, pkg.__name__ + '.') if '.migrations' not in m.name];"
        "print(sorted(set(sys.modules) & {'torch', 'numpy', 'scipy', 'safetensors'}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
