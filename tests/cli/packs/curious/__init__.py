"""A pack that tries what a worker must not be able to do, and reports the results."""

import os
import socket
import tempfile
from pathlib import Path


def attempt(deed):
    try:
        return str(deed())
    except Exception as error:
        return type(error).__name__


def write(path):
    return lambda: Path(path).write_text("x") and "written"


def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(b"x", ("192.0.2.1", 9))
    return "sent"


class Curious:
    """Try to escape. ``data_dir``: the server's; ``port``: a listening port of this machine."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"data_dir": ("STRING",), "models": ("STRING",), "port": ("INT",)}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "look"
    CATEGORY = "test"

    def look(self, data_dir, models, port):
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        temp = Path(tempfile.gettempdir())
        seen = {
            "environment": " ".join(f"{k}={v}" for k, v in os.environ.items()),
            "temp": str(temp),
            "home": str(Path.home()),
            "no_new_privs": status["NoNewPrivs"].strip(),
            "uid": str(os.getuid()),
            "to_temp": attempt(write(temp / "mine")),
            "to_home": attempt(write(Path.home() / "mine")),
            "to_pack": attempt(write(Path(__file__).with_name("written.json"))),
            "to_models": attempt(write(f"{models}/checkpoints/a.safetensors")),
            "to_data": attempt(write(f"{data_dir}/new")),
            "to_database": attempt(lambda: os.open(f"{data_dir}/safelight.db", os.O_RDWR) and "opened"),
            "database": attempt(lambda: os.open(f"{data_dir}/safelight.db", os.O_RDONLY) and "opened"),
            "model": attempt(lambda: Path(models, "checkpoints/a.safetensors").read_text()),
            "tcp": attempt(lambda: socket.create_connection(("127.0.0.1", port), 10) and "connected"),
            "udp": attempt(send),
        }
        return {"ui": {"text": [f"{name}: {what}" for name, what in seen.items()]}}


NODE_CLASS_MAPPINGS = {"Curious": Curious}
