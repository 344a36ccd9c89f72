"""A hostile node pack: it tries what packs must not do, by its node and by its routes, and reports the results."""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import tempfile
from pathlib import Path

from aiohttp import web
from server import PromptServer

HERE = Path(__file__).parent
VERSION = "as the operator put it there"

_libc = ctypes.CDLL(None, use_errno=True)


def attempt(deed):
    try:
        return f"done: {deed()}"
    except Exception as error:
        return f"refused: {type(error).__name__}"


def write(path):
    return lambda: Path(path).write_text("VERSION = 'replaced'\n")


def lock(path):
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_record(path):
    with open(path, "rb") as file:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def blob(data_dir):
    [found, *_] = [path for path in Path(data_dir, "blobs").rglob("*") if path.is_file()]
    return found.read_bytes()


def slots():
    """Return this slot and the other one, of two."""
    own = Path(tempfile.gettempdir()).name
    return own, {"local-0": "local-1", "local-1": "local-0"}[own]


def pin_to_one_core(pid):
    os.sched_setaffinity(pid, os.sched_getaffinity(pid))


def trace(pid):
    if _libc.ptrace(16, pid, 0, 0):
        raise PermissionError
    return "attached"


def remount():
    if _libc.mount(b"none", b"/", b"", 32 | 4096, None):
        raise PermissionError
    return "mounted"


def leave_daemon(name):
    """A process in a session of its own, whose parent has ended: no signal to a group reaches it."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _libc.prctl(15, name.encode(), 0, 0, 0)
    for handle in range(64):
        with contextlib.suppress(OSError):
            os.close(handle)
    signal.pause()


class Attack:
    """``known`` (JSON): ``data_dir``, ``pack`` (where the operator put this pack), ``models``, ``server`` (a pid)."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"known": ("STRING",)}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "attack"
    CATEGORY = "test"

    def attack(self, known):
        known = json.loads(known)
        data, pack, server = known["data_dir"], known["pack"], known["server"]
        own, other = slots()
        leave_daemon(known["daemon"])
        told = {
            "replace its own code": attempt(write(f"{pack}/__init__.py")),
            "put code beside it": attempt(write(f"{pack}/more.py")),
            "put another pack beside it": attempt(write(f"{pack}.py")),
            "change the mode of its code": attempt(lambda: os.chmod(f"{pack}/__init__.py", 0o777)),
            "replace a model": attempt(write(f"{known['models']}/checkpoints/a.safetensors")),
            "lower the server's file limit": attempt(lambda: resource.prlimit(server, resource.RLIMIT_NOFILE, (9, 9))),
            "end the server": attempt(lambda: os.kill(server, signal.SIGTERM)),
            "stop the server": attempt(lambda: os.kill(server, signal.SIGSTOP)),
            "move the server to one core": attempt(lambda: pin_to_one_core(server)),
            "make the server nice": attempt(lambda: os.setpriority(os.PRIO_PROCESS, server, 19)),
            "trace the server": attempt(lambda: trace(server)),
            "read the server's environment": attempt(lambda: Path(f"/proc/{server}/environ").read_bytes()),
            "read the server's command line": attempt(lambda: Path(f"/proc/{server}/cmdline").read_bytes()),
            "lock the shared memory of the database": attempt(lambda: lock(f"{data}/safelight.db-shm")),
            "lock a record of it": attempt(lambda: lock_record(f"{data}/safelight.db-shm")),
            "read the database": attempt(lambda: Path(f"{data}/safelight.db").read_bytes()[:16]),
            "change the mode of the data folder": attempt(lambda: os.chmod(data, 0o777)),
            "change the mode of the database": attempt(lambda: os.chmod(f"{data}/safelight.db", 0o666)),
            "list the data folder": attempt(lambda: os.listdir(data)),
            "read a blob": attempt(lambda: blob(data)),
            "read the inputs of another slot": attempt(Path(data, "inputs", other, "job/file").read_bytes),
            "write to the root of staging": attempt(write(f"{data}/staging/new")),
            "write to another slot's staging": attempt(write(f"{data}/staging/{other}/new")),
            "write into its inputs": attempt(write(f"{data}/inputs/{own}/new")),
            "read the system's password hashes": attempt(lambda: Path("/etc/shadow").read_text()),
            "list a stranger's home": attempt(lambda: os.listdir("/root")),
            "mount the system writable": attempt(remount),
        }
        for folder in (Path.home() / ".cache", HERE):
            folder.mkdir(exist_ok=True)
            (folder / "left.py").write_text("VERSION = 'left behind'\n")
        (HERE / "__init__.py").write_text(replaced(HERE / "__init__.py"))
        (HERE / "state.json").write_text(json.dumps({"kept": known["daemon"]}))
        return {"ui": {"text": [json.dumps(told)]}}


def replaced(path):
    return path.read_text().replace("as the operator put it there", "replaced by itself")


class Look:
    """What this engine was imported from, and what an earlier one left for it. ``salt``: it runs every time."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"salt": ("STRING",)}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "look"
    CATEGORY = "test"

    def look(self, salt):
        state = HERE / "state.json"
        told = {
            "version": VERSION,
            "left": [str(p) for p in (HERE / "left.py", Path.home() / ".cache/left.py") if p.exists()],
            "state": json.loads(state.read_text()) if state.exists() else None,
        }
        return {"ui": {"text": [json.dumps(told)]}}


class Die:
    """Ends its engine."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"salt": ("STRING",)}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "die"
    CATEGORY = "test"

    def die(self, salt):
        os._exit(3)


@PromptServer.instance.routes.post("/attacker/save/{name}")
async def save(request):
    """Like routes of real packs: the body becomes a file beside the code."""
    path = HERE / request.match_info["name"]
    path.write_bytes(await request.read())
    return web.json_response({"saved": str(path)})


@PromptServer.instance.routes.get("/attacker/load/{name}")
async def load(request):
    path = HERE / request.match_info["name"]
    return web.Response(body=path.read_bytes(), status=200) if path.exists() else web.Response(status=404)


NODE_CLASS_MAPPINGS = {"Attack": Attack, "Look": Look, "Die": Die}
