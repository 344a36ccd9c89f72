"""A pack of V1 nodes without torch, which exercises an engine in a process that starts quickly."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time

from safelight.sdk import Blocker, current
from safelight.sdk.expand import GraphBuilder


class Number:
    """Return a number."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    CATEGORY = "trial"

    def run(self, value):
        return (value,)


class Add(Number):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT",), "b": ("INT",)}}

    def run(self, a, b):
        return (a + b,)


class Show(Number):
    """Show a value as text."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*",)}, "hidden": {"my_id": "UNIQUE_ID"}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, value, my_id):
        return {"ui": {"text": (str(value), my_id)}}


class Save(Number):
    """Write text files and report them."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {}), "prefix": ("STRING", {"default": "a"})}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, text, prefix):
        series = current().open_series(prefix, count=2)
        files = [series.file(i, ".txt") for i in range(2)]
        for i, file in enumerate(files):
            file.path.write_text(f"{text} {i}")
        return {"ui": {"files": [f.as_dict() for f in files]}}


class Forget(Save):
    """Open a file and write nothing."""

    def run(self, text, prefix):
        current().open_series(prefix).file(0, ".txt")
        return {"ui": {}}


class Deed(Number):
    """Do what a node should not do."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"what": ("STRING", {})}}

    RETURN_TYPES = ("INT",)
    OUTPUT_NODE = True

    def run(self, what):
        getattr(self, what)()
        return (1,)

    def raise_error(self):
        raise KeyError("missing")

    def exit(self):
        os._exit(0)

    def sys_exit(self):
        sys.exit(3)

    def segfault(self):
        ctypes.string_at(0)

    def be_killed(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def hang(self):
        print("hanging", flush=True)
        while True:
            time.sleep(60)

    def spawn(self):
        child = subprocess.Popen(["sleep", "600"])
        print(f"child {child.pid}")

    def spawn_and_hang(self):
        self.spawn()
        self.hang()

    def spawn_and_die(self):
        self.spawn()
        self.be_killed()

    def print(self):
        print("first\nsecond")
        print("10%\r20%\r30%", end="")
        os.write(1, b"native\n")

    def garbage(self):
        [pipe] = [int(fd) for fd in os.listdir("/proc/self/fd") if _is_socket(fd)]
        os.write(pipe, b"\xff\xff\xff\xffgarbage")
        self.hang()

    def steps(self):
        for step in range(1, 201):
            current().progress(step, 200)

    def grow(self):
        global _grown
        _grown = bytearray(64 * 1024 * 1024)

    def reveal(self):
        print("\n".join(sorted(os.environ)))

    def read_input(self):
        print(current().input_path("a.txt").read_text())


class Await(Number):
    """Save a file, wait for a file at ``path``, and save another one."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"path": ("STRING", {})}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, path):
        current().open_series("before").file(0, ".txt").path.write_text("before")
        while not os.path.exists(path):
            time.sleep(0.02)
        after = current().open_series("after").file(0, ".txt")
        after.path.write_text("after")
        return {"ui": {"files": [after.as_dict()]}}


class Async(Number):
    """Sleep without blocking other nodes."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",), "seconds": ("FLOAT", {"default": 0.0})}}

    async def run(self, value, seconds):
        await asyncio.sleep(seconds)
        current().raise_if_cancelled()
        return (value,)


class AsyncFail(Async):
    async def run(self, value, seconds):
        await asyncio.sleep(seconds)
        raise RuntimeError("meant to fail")


class AsyncExit(Async):
    async def run(self, value, seconds):
        sys.exit(4)


class Expand(Number):
    """Expand to a graph that returns ``value + 1``."""

    def run(self, value):
        graph = GraphBuilder()
        one = graph.node("Number", value=1)
        return {"result": (graph.node("Add", a=value, b=one.out(0)).out(0),), "expand": graph.finalize()}


class Block(Number):
    def run(self, value):
        return (Blocker("not today"),)


class Pick(Number):
    """Return one of two inputs without computing the other."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"first": ("BOOLEAN",), "a": ("INT", {"lazy": True}), "b": ("INT", {"lazy": True})}}

    def check_lazy_status(self, first, a=None, b=None):
        return ["a"] if first else ["b"]

    def run(self, first, a=None, b=None):
        return (a if first else b,)


class Range(Number):
    """Return a list of numbers."""

    OUTPUT_IS_LIST = (True,)

    def run(self, value):
        return (list(range(value)),)


class Total(Number):
    """Return the sum of a list, and count the calls."""

    INPUT_IS_LIST = True
    calls = 0

    def run(self, value):
        self.calls += 1
        print(f"call {self.calls} of this object")
        return (sum(value),)


class Clock(Number):
    """Return a different value every time."""

    @classmethod
    def IS_CHANGED(cls, value):
        return float("nan")


def _is_socket(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
    except OSError:
        return False


class Even(Number):
    """Accept only even numbers."""

    OUTPUT_NODE = True

    @classmethod
    def VALIDATE_INPUTS(cls, value):
        if value == 13:
            raise ValueError("unlucky")
        return value % 2 == 0 or f"{value} is odd"


NODE_CLASS_MAPPINGS = {
    cls.__name__: cls
    for cls in (
        *(
            Number,
            Add,
            Show,
            Save,
            Forget,
            Deed,
            Await,
            Async,
            AsyncFail,
            AsyncExit,
            Expand,
            Block,
            Pick,
            Range,
            Total,
            Clock,
            Even,
        ),
    )
}
NODE_DISPLAY_NAME_MAPPINGS = {"Number": "A Number"}
