"""The folders of one slot as ComfyUI is told of them, made anew for each engine, and ComfyUI's command line."""

import glob
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from safelight.comfyui.installation import Installation
from safelight.core.model_folders import MODEL_FOLDERS
from safelight.sandbox.account import DEVICES

AGENT = Path(__file__).parent / "agent"
_AGENT_NAME = "safelight_agent"


@dataclass(frozen=True)
class SlotFolder:
    """``root``: a folder that only engines of this slot use."""

    root: Path

    def make(self, models: object) -> None:
        """``models``: what :func:`model_paths` returns. Raises :class:`OSError`."""
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("input", "output", "temp", "user/default", "web", "validation", "custom_nodes"):
            (self.root / name).mkdir(parents=True)
        (self.root / "web" / "index.html").write_text("")
        (self.root / "custom_nodes" / _AGENT_NAME).symlink_to(AGENT)
        self._model_paths.write_text(json.dumps(models), "utf-8")  # JSON is YAML too

    def arguments(self, installation: Installation, given: Sequence[str], *, device: str) -> list[str]:
        """The arguments of ComfyUI's ``main.py``. ``given``: those of the operator, which come first: of two values of
        one option, the last counts."""
        options = [
            *given,
            *("--input-directory", str(self.root / "input")),
            *("--output-directory", str(self.root / "output")),
            *("--temp-directory", str(self.root)),  # ComfyUI adds "temp"
            *("--user-directory", str(self.root / "user")),
            *("--extra-model-paths-config", str(self._model_paths)),
            *("--front-end-root", str(self.root / "web")),
            *("--disable-auto-launch", "--dont-print-server"),
        ]
        if _knows(installation, "--database-url"):
            options += ["--database-url", f"sqlite:///{self.root / 'user' / 'comfyui.db'}"]
        if device.startswith("cpu") or (not device and not _has_accelerator()):
            options.append("--cpu")
        return options

    @property
    def _model_paths(self) -> Path:
        return self.root / "model_paths.yaml"


def model_paths(
    installation: Installation, roots: Sequence[str], extra: Sequence[tuple[str, str, bool]], folder: SlotFolder
) -> dict[str, object]:
    """The folders of models that the server knows and this ComfyUI does not, and the folder with the agent, in the form
    of ComfyUI's ``extra_model_paths.yaml``."""
    found: dict[str, object] = {"safelight": {"custom_nodes": str(folder.root / "custom_nodes")}}
    for number, root in enumerate(map(Path, roots)):
        if root != installation.root / "models":
            found[f"root_{number}"] = dict(_places(root))
    for number, (name, path, is_default) in enumerate(extra):
        found[f"folder_{number}"] = {name: path, "is_default": is_default}
    return found


def _places(root: Path) -> Iterator[tuple[str, str]]:
    for name, known in MODEL_FOLDERS.items():
        # Also those that do not exist: a model may be added to one while ComfyUI runs.
        yield name, "\n".join(str(root / place) for place in known.places)
    known_places = {place for known in MODEL_FOLDERS.values() for place in known.places}
    if root.is_dir():
        for entry in sorted(root.iterdir()):
            if entry.is_dir() and entry.name not in known_places and entry.name != "custom_nodes":
                yield entry.name, str(entry)


def _knows(installation: Installation, option: str) -> bool:
    """Whether this ComfyUI's command line has an option."""
    try:
        text = (installation.root / "comfy" / "cli_args.py").read_text("utf-8", errors="replace")
    except OSError:
        return False
    return f'"{option}"' in text


def _has_accelerator() -> bool:
    return any(glob.glob(pattern) for pattern in DEVICES)
