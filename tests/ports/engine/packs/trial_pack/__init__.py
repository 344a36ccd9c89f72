"""A node pack as authors write them for ComfyUI, for what every engine must do. It needs no torch."""

import asyncio
import ctypes
import os
import sys
import time

import comfy.model_management
import comfy.utils
import folder_paths
from aiohttp import web
from comfy_execution.graph import ExecutionBlocker
from comfy_execution.graph_utils import GraphBuilder
from server import PromptServer

WEB_DIRECTORY = "web"


@PromptServer.instance.routes.post("/trial/echo")
async def echo(request):
    PromptServer.instance.send_sync("trial.asked", {"path": request.path})
    return web.json_response({"user": request.headers.get("comfy-user"), "body": await request.text()})


class Number:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0, "max": 2**64})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    CATEGORY = "trial"

    def run(self, value):
        return (value,)


class Show(Number):
    """Show a value as text."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, value):
        return {"ui": {"text": [str(value)]}}


class SaveText(Number):
    """Save a text in a numbered file and name it."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {}), "prefix": ("STRING", {})}}

    RETURN_TYPES = ("STRING",)
    OUTPUT_NODE = True

    def run(self, text, prefix):
        folder, name, number, subfolder, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory()
        )
        filename = f"{name}_{number:05}_.txt"
        path = os.path.join(folder, filename)
        with open(path, "w") as file:
            file.write(text)
        shown = {"filename": filename, "subfolder": subfolder, "type": "output"}
        return {"ui": {"files": [shown]}, "result": (path,)}


class SaveQuietly(SaveText):
    """Save a file under a name of its own, and say nothing."""

    def run(self, text, prefix):
        with open(os.path.join(folder_paths.get_output_directory(), f"{prefix}.txt"), "w") as file:
            file.write(text)
        return (prefix,)


class ReadPath(Number):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"path": ("STRING", {"forceInput": True})}}

    RETURN_TYPES = ("STRING",)

    def run(self, path):
        with open(path) as file:
            return (file.read(),)


class ReadInput(Number):
    """Read a file by its name; without ``IS_CHANGED``."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING", {})}}

    RETURN_TYPES = ("STRING",)

    def run(self, name):
        with open(folder_paths.get_annotated_filepath(name)) as file:
            return (file.read(),)


class ReadInside(ReadInput):
    """Expand to a node that reads a file."""

    def run(self, name):
        graph = GraphBuilder()
        return {"result": (graph.node("ReadInput", name=name).out(0),), "expand": graph.finalize()}


class ReadTwice(ReadInput):
    """Take a list."""

    INPUT_IS_LIST = True

    def run(self, name):
        with open(folder_paths.get_annotated_filepath(name[0])) as file:
            return (file.read() * 2,)


class ListInput(Number):
    """Show which files are in the input folder."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING", {})}}

    RETURN_TYPES = ("STRING",)

    def run(self, name):
        return (",".join(sorted(os.listdir(folder_paths.get_input_directory()))),)


class LoadModel(Number):
    """Load a public model, and say so."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": (folder_paths.get_filename_list("checkpoints"),)}}

    RETURN_TYPES = ("MODEL",)

    def run(self, name):
        print(f"loading {name}")
        with open(folder_paths.get_full_path("checkpoints", name)) as file:
            return (file.read(),)


class Reveal(Number):
    """Show the values that are filled in."""

    @classmethod
    def INPUT_TYPES(cls):
        hidden = {"pnginfo": "EXTRA_PNGINFO", "key": "API_KEY_COMFY_ORG", "prompt": "PROMPT"}
        return {"required": {"value": ("INT",)}, "hidden": hidden}

    OUTPUT_NODE = True

    def run(self, value, pnginfo=None, key=None, prompt=None):
        return {"ui": {"text": [str(pnginfo), str(key), ",".join(prompt)]}, "result": (value,)}


class Overwrite(ListInput):
    """Try to change an input file."""

    OUTPUT_NODE = True

    def run(self, name):
        path = folder_paths.get_annotated_filepath(name)
        for change in (lambda: os.chmod(path, 0o666), lambda: open(path, "w").close()):
            try:
                change()
            except OSError as error:
                print(error)
        return (name,)


class History(Number):
    """Count the prompts that are remembered."""

    OUTPUT_NODE = True

    def run(self, value):
        return {"ui": {"text": [str(len(PromptServer.instance.prompt_queue.history))]}}


class Recall(Number):
    """Return what the last call on this object was given."""

    last = "nothing"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {})}}

    @classmethod
    def IS_CHANGED(cls, text):
        return float("nan")

    RETURN_TYPES = ("STRING",)

    def run(self, text):
        before, self.last = self.last, text
        return (before,)


class Exists(Number):
    """Accept only the name of a file that exists."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING", {})}}

    @classmethod
    def VALIDATE_INPUTS(cls, name):
        return True if folder_paths.exists_annotated_filepath(name) else f"there is no {name}"

    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, name):
        return {"ui": {"text": [name]}}


class Steps(Number):
    """Report progress, with a picture, until it is interrupted."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",), "seconds": ("FLOAT", {"default": 0.0})}, "hidden": {"id": "UNIQUE_ID"}}

    OUTPUT_NODE = True

    def run(self, value, seconds, id):
        from PIL import Image

        bar = comfy.utils.ProgressBar(value)
        print("stepping", flush=True)
        for step in range(value):
            time.sleep(seconds)
            bar.update_absolute(step + 1, value, ("JPEG", Image.new("RGB", (32, 32), (255, 0, 0)), 512))
        PromptServer.instance.send_progress_text(f"{value} steps", id)
        return (value,)


class Message(Number):
    OUTPUT_NODE = True

    def run(self, value):
        PromptServer.instance.send_sync("trial.told", {"value": value})
        return (value,)


class Block(Number):
    def run(self, value):
        return (ExecutionBlocker("not today"),)


class Expand(Number):
    def run(self, value):
        graph = GraphBuilder()
        return {"result": (graph.node("Number", value=value + 1).out(0),), "expand": graph.finalize()}


class Slow(Number):
    async def run(self, value):
        await asyncio.sleep(0.05)
        return (value,)


class Deed(Number):
    """Do what a node should not do."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"what": ("STRING", {})}}

    OUTPUT_NODE = True

    def run(self, what):
        getattr(self, what)()
        return (1,)

    def raise_error(self):
        raise KeyError("missing")

    def exit(self):
        os._exit(3)

    def sys_exit(self):
        sys.exit(3)

    def segfault(self):
        ctypes.string_at(0)

    def hang(self):
        print("hanging", flush=True)
        while True:
            time.sleep(60)

    def run_out_of_memory(self):
        error = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})
        raise error("no memory left")

    def stop(self):
        raise comfy.model_management.InterruptProcessingException

    def print(self):
        print("first\nsecond")
        print("10%\r20%\r30%", end="")


NODE_CLASS_MAPPINGS = {
    each.__name__: each
    for each in (
        *(Number, Show, SaveText, SaveQuietly, ReadPath, ReadInput, ReadInside, ReadTwice, ListInput, Recall, Exists),
        *(LoadModel, Reveal, Overwrite, History),
        *(Steps, Message, Block, Expand, Slow, Deed),
    )
}
