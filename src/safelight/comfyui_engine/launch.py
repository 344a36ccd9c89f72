"""From the configuration on the pipe to the running ComfyUI."""

import argparse
import json
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from safelight.comfyui.installation import Installation, NotAnInstallation, find, python_folders
from safelight.comfyui_engine import digests
from safelight.comfyui_engine.agent import START
from safelight.comfyui_engine.slot_folder import AGENT, SlotFolder, model_paths
from safelight.core.device import visible_devices
from safelight.core.model_folders import MODEL_FOLDERS
from safelight.sandbox.confine import confine
from safelight.sandbox.lifetime import die_with, offer_to_the_oom_killer
from safelight.sandbox.rules import Rules
from safelight.wire.codec import MAX_FRAME_BYTES
from safelight.wire.config import EngineConfig


def main() -> NoReturn:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--server", type=int, help="the server whose keeper the parent is")
    parser.add_argument("--unkept", action="append", default=[], help="a rule that the keeper could not enforce")
    options = parser.parse_args()
    die_with(options.parent)
    offer_to_the_oom_killer()
    config = read_config(options.fd)
    try:
        installation = find(config.root, config.python)
    except NotAnInstallation as error:
        sys.exit(f"this engine cannot start: {error.message}")
    slot = _folder_of(config)
    rules = _rules(config, installation)
    missing = confine(rules) if rules is not None else ()
    die_with(options.parent)  # again: the system drops the setting when the process changes its user
    slot.make(model_paths(installation, config.model_roots, config.extra_models, slot))
    digests_fd = digests.start(unwanted=options.fd)
    os.set_inheritable(options.fd, True)
    start = {
        "pipe": options.fd,
        "digests": digests_fd,
        "lease_s": config.lease_s,
        "folder": str(slot.root),
        "socket": str(Path(tempfile.mkdtemp(prefix="comfyui-")) / "s"),
        "unkept_rules": [*options.unkept, *missing],
        "hidden_paths": _hidden_paths(config, installation, slot),
        "model_folders": [*MODEL_FOLDERS],
    }
    execute(
        installation, slot.arguments(installation, config.arguments, device=config.device), start, device=config.device
    )


def read_config(fd: int) -> EngineConfig:
    """Read the first frame of the pipe and not a byte more: the rest is for the agent."""
    sock = socket.socket(fileno=fd)
    try:
        length = int.from_bytes(_read(sock, 4), "big")
        if length > MAX_FRAME_BYTES:
            sys.exit(f"a frame of {length} bytes is not a configuration")
        return msgspec.msgpack.decode(_read(sock, length), type=EngineConfig)
    except (EOFError, msgspec.MsgspecError) as error:
        sys.exit(f"the server sent no configuration: {error}")
    finally:
        sock.detach()


def execute(installation: Installation, arguments: Sequence[str], start: dict[str, Any], *, device: str) -> NoReturn:
    """Become ComfyUI."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environment |= visible_devices(device, environment)
    environment[START] = json.dumps(start)
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    os.chdir(installation.root)
    python = str(installation.python)
    os.execve(python, [python, "-u", "-X", "faulthandler", "main.py", *arguments], environment)


def _folder_of(config: EngineConfig) -> SlotFolder:
    """The slot's own folder is on the disk of the job's files; without one, a temporary folder does."""
    return SlotFolder(Path(config.pack_copies or tempfile.gettempdir(), "comfyui"))


def _rules(config: EngineConfig, installation: Installation) -> Rules | None:
    """The rules, with what ComfyUI's interpreter must be able to read."""
    rules = config.rules
    if rules is None or rules.readable is None:
        return rules
    needed = (installation.root, AGENT, *python_folders(installation.python), *_python_path())
    return replace(rules, readable=(*rules.readable, *map(str, needed)))


def _python_path() -> list[Path]:
    return [Path(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _hidden_paths(config: EngineConfig, installation: Installation, slot: SlotFolder) -> list[tuple[str, str]]:
    """Folders of this machine, and what errors show instead; the longest first."""
    shown = {f"{slot.root}/": "", f"{installation.root}/": ""}
    shown |= dict.fromkeys(config.model_roots, "models")
    return sorted(shown.items(), key=lambda item: -len(item[0]))


def _read(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError("the pipe is closed")
        data += part
    return bytes(data)
