"""The nodes of the pack ``points``, as an author writes them for ComfyUI: they import nothing of Safelight."""

import asyncio
import ctypes
import os
import signal
import subprocess
import threading
import time

import folder_paths


def die_once(marker):
    """Write the time to the file ``marker`` and die, unless the file exists."""
    try:
        with open(marker, "x") as file:
            file.write(str(time.time()))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class Wait:
    """Passes a number on after a while, and dies in the middle if it has a marker."""

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
        folder, name, first, subfolder, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory()
        )
        shown = []
        for i in range(2):
            filename, content = f"{name}_{first + i:05}_.txt", f"{text} {i}"
            with open(os.path.join(folder, filename), "w") as file:
                file.write(content[: len(content) // 2])
                file.flush()
                if point == "saving" and i == 1:
                    die_once(marker)
                file.write(content[len(content) // 2 :])
            shown.append({"filename": filename, "subfolder": subfolder, "type": "output"})
        if point == "saved":
            threading.Timer(delay_s, die_once, [marker]).start()
        return {"ui": {"files": shown}, "result": (1,)}


class Deed(Wait):
    """Do what a node should not do."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"what": ("STRING", {})}}

    OUTPUT_NODE = True

    def run(self, what):
        getattr(self, what)()
        return (1,)

    def exit(self):
        os._exit(0)

    def segfault(self):
        ctypes.string_at(0)

    def be_killed(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def hang(self):
        while True:
            time.sleep(60)

    def spawn_and_hang(self):
        subprocess.Popen(["sleep", "600"])
        self.hang()


class Garbage(Wait):
    """Writes garbage to the pipe."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"frame": ("STRING", {})}}

    OUTPUT_NODE = True

    def run(self, frame):
        for number in os.listdir("/proc/self/fd"):
            try:
                if os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                    os.write(int(number), bytes.fromhex(frame))
            except OSError:
                continue
        time.sleep(60)


NODE_CLASS_MAPPINGS = {cls.__name__: cls for cls in (Wait, SaveTwo, Deed, Garbage)}
