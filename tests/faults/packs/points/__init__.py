"""Nodes that save, wait, and end their process at a chosen point of a job: once, if they have a marker."""

import asyncio
import os
import signal
import sys
import threading
import time

from safelight.sdk import current


def die_once(marker):
    """Write the time to the file ``marker`` and die, unless the file exists."""
    try:
        with open(marker, "x") as file:
            file.write(str(time.time()))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class AcceleratorError(RuntimeError):
    """The name of torch's device errors."""


AcceleratorError.__module__ = "torch"
device = {"is_lost": False}


def ask_device():
    """After an illegal access every call to the device fails until the process ends."""
    if device["is_lost"]:
        raise AcceleratorError("CUDA error: an illegal memory access was encountered")


class Wait:
    """Passes a number on after a while, and dies in the middle if its point is ``wait``."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"seconds": ("FLOAT", {"default": 0.0}), "salt": ("STRING", {})},
            "optional": {"after": ("INT", {"forceInput": True}), "marker": ("STRING", {"default": ""})},
        }

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    CATEGORY = "points"

    async def run(self, seconds, salt, after=0, marker=""):
        await asyncio.sleep(seconds / 2)
        if marker:
            die_once(marker)
        await asyncio.sleep(seconds / 2)
        current().raise_if_cancelled()
        return (1,)


class SaveTwo(Wait):
    """Writes two text files. ``point``: where to die (``saving``: a file is half there; ``saved``: just after)."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"text": ("STRING", {}), "prefix": ("STRING", {})},
            "optional": {
                "after": ("INT", {"forceInput": True}),
                "point": ("STRING", {"default": ""}),
                "marker": ("STRING", {"default": ""}),
                "delay_s": ("FLOAT", {"default": 0.0}),
            },
        }

    OUTPUT_NODE = True

    def run(self, text, prefix, after=0, point="", marker="", delay_s=0.0):
        ask_device()
        series = current().open_series(prefix, count=2)
        files = [series.file(i, ".txt") for i in range(2)]
        for i, file in enumerate(files):
            content = f"{text} {i}"
            file.path.write_text(content[: len(content) // 2])
            if point == "saving" and i == 1:
                die_once(marker)
            file.path.write_text(content)
        if point == "saved":
            threading.Timer(delay_s, die_once, [marker]).start()
        return {"ui": {"files": [f.as_dict() for f in files]}, "result": (1,)}


class Flood(Wait):
    """Prints and reports a large number of lines."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {"default": 1})}}

    OUTPUT_NODE = True

    def run(self, count):
        for i in range(count):
            print("line", i)
            current().progress(i, count)
        return (count,)


class LosesDevice(Wait):
    """``marker``: fail once; without one, fail at every attempt."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"salt": ("STRING", {})}, "optional": {"marker": ("STRING", {"default": ""})}}

    def run(self, salt, marker=""):
        if not marker or not os.path.exists(marker):
            device["is_lost"] = True
            if marker:
                open(marker, "x").close()
        ask_device()
        return (1,)


class Garbage(Wait):
    """Writes garbage to the pipe: noise, or the start of a frame that never ends."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"frame": ("STRING", {})}}

    OUTPUT_NODE = True

    def run(self, frame):
        os.write(int(sys.argv[sys.argv.index("--fd") + 1]), bytes.fromhex(frame))
        time.sleep(60)


NODE_CLASS_MAPPINGS = {cls.__name__: cls for cls in (Wait, SaveTwo, Flood, LosesDevice, Garbage)}
