"""Files, progress, other nodes, and messages to clients."""

import os
import re
import sys
import threading
import time

import comfy.model_management
import comfy.sd
import comfy.utils
import folder_paths
import numpy as np
import torch
from aiohttp import web
from comfy_extras.nodes_mask import GrowMask
from PIL import Image
from server import PromptServer

import nodes

STARTED = time.monotonic_ns()
OUTPUT_AT_IMPORT = folder_paths.get_output_directory()


class ClassicPicture:
    """A picture of one grey."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "tests/classic"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"grey": ("FLOAT", {"default": 0.5}), "count": ("INT", {"default": 1})}}

    def run(self, grey, count):
        device = comfy.model_management.intermediate_device()
        return (torch.full((count, 8, 8, 3), grey, device=device),)


class ClassicSave:
    """Saves pictures as packs do it."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "save"
    CATEGORY = "tests/classic"

    def __init__(self):
        self.output_dir = folder_paths.get_output_directory()

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",), "prefix": ("STRING", {"default": "classic/saved"})}}

    def save(self, images, prefix):
        folder, filename, counter, subfolder, _ = folder_paths.get_save_image_path(
            prefix, self.output_dir, images[0].shape[1], images[0].shape[0]
        )
        shown = []
        for image in images:
            name = f"{filename}_{counter:05}_.png"
            pixels = np.clip(255 * image.cpu().numpy(), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(os.path.join(folder, name))
            shown.append({"filename": name, "subfolder": subfolder, "type": "output"})
            counter += 1
        return {"ui": {"images": shown}}


class ClassicCountSave(ClassicSave):
    """Counts the files that it finds, and names its own in its own way."""

    def save(self, images, prefix):
        folder, filename, _, subfolder, _ = folder_paths.get_save_image_path(prefix, self.output_dir)
        found = [re.match(rf"{re.escape(filename)}_(\d+)\D*\.", name) for name in os.listdir(folder)]
        name = f"{filename}_{max([int(match[1]) for match in found if match], default=0) + 1:05}.txt"
        with open(os.path.join(folder, name), "w") as file:
            file.write(str(len(images)))
        return {"ui": {"texts": [{"filename": name, "subfolder": subfolder, "type": "output", "more": 1}]}}


class ClassicNote:
    """Writes a file, and a note for itself, without a word in its ui."""

    RETURN_TYPES = ("STRING",)
    OUTPUT_NODE = True
    FUNCTION = "write"
    CATEGORY = "tests/classic"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {})}}

    def write(self, text):
        with open(os.path.join(OUTPUT_AT_IMPORT, "note.txt"), "w") as file:
            file.write(text)
        with open(os.path.join(folder_paths.get_temp_directory(), "own.txt"), "w") as file:
            file.write("not for others")
        return (file.name,)


class ClassicPreview(nodes.SaveImage):
    """A subclass of ``SaveImage`` that shows what it does."""

    def __init__(self):
        super().__init__()
        self.output_dir = folder_paths.get_temp_directory()
        self.type = "temp"
        self.prefix_append = "_shown"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}, "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}}

    FUNCTION = "show"

    def show(self, images, prompt=None, extra_pnginfo=None):
        return self.save_images(images, "classic", prompt, extra_pnginfo)


class ClassicLoad:
    """Reads a file of the user's by its path, and through another node."""

    RETURN_TYPES = ("IMAGE", "STRING")
    FUNCTION = "load"
    CATEGORY = "tests/classic"

    @classmethod
    def INPUT_TYPES(cls):
        files = sorted(os.listdir(folder_paths.get_input_directory()))
        return {"required": {"image": (files, {"image_upload": True})}}

    @classmethod
    def VALIDATE_INPUTS(cls, image):
        return folder_paths.exists_annotated_filepath(image) or f"Invalid image file: {image}"

    @classmethod
    def IS_CHANGED(cls, image):
        return os.path.getsize(folder_paths.get_annotated_filepath(image))

    def load(self, image):
        path = folder_paths.get_annotated_filepath(image)
        with Image.open(path) as opened:
            size = f"{opened.width}x{opened.height}"
        there = ",".join(sorted(os.listdir(folder_paths.get_input_directory())))
        return (nodes.LoadImage().load_image(image)[0], f"{size} of {there}")


class ClassicInvert:
    """Calls other nodes."""

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "run"
    CATEGORY = "tests/classic"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def run(self, image):
        (inverted,) = nodes.NODE_CLASS_MAPPINGS["ImageInvert"]().invert(image)
        (mask,) = GrowMask.execute(torch.zeros(1, 8, 8), 1, True)
        return (comfy.utils.common_upscale(inverted.movedim(-1, 1), 4, 4, "bilinear", "center").movedim(1, -1), mask)


class ClassicSteps:
    """Takes steps, and tells of them."""

    RETURN_TYPES = ("INT",)
    OUTPUT_NODE = True
    FUNCTION = "run"
    CATEGORY = "tests/classic"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"steps": ("INT", {"default": 3})}, "hidden": {"my_id": "UNIQUE_ID"}}

    def run(self, steps, my_id):
        bar = comfy.utils.ProgressBar(steps)
        for _ in range(steps):
            comfy.model_management.throw_exception_if_processing_interrupted()
            bar.update(1)
        PromptServer.instance.send_sync("classic.done", {"node": my_id, "steps": steps})
        PromptServer.instance.send_progress_text("all done", my_id)
        PromptServer.instance.send_sync(1, ("PNG", Image.new("RGB", (3, 2), "red"), None), "someone")
        return (steps,)


class ClassicStop(ClassicSteps):
    """Ends its own job."""

    def run(self, steps, my_id):
        raise comfy.model_management.InterruptProcessingException()


class ClassicDiffusion(ClassicSteps):
    """Uses what is not there."""

    def run(self, steps, my_id):
        return comfy.sd.load_checkpoint_guess_config("model.safetensors")


class ClassicPickle(ClassicSteps):
    """Loads what may run code."""

    def run(self, steps, my_id):
        path = os.path.join(folder_paths.get_temp_directory(), "evil.safetensors")
        torch.save({"w": torch.ones(1)}, path)
        return (comfy.utils.load_torch_file(path),)


HEARD = []


@PromptServer.instance.routes.get("/classic/hello/{name}")
async def hello(request):
    return web.json_response(
        {
            "name": request.match_info["name"],
            "query": dict(request.query),
            "user": request.headers.get("Comfy-User"),
            "told": sorted({"Authorization", "Cookie", "X-Api-Key"} & set(request.headers)),
            "is_running": PromptServer.instance.loop.is_running(),
        },
        headers={"Set-Cookie": "session=stolen", "X-Pack": "classic"},
    )


@PromptServer.instance.routes.post("/classic/keep")
async def keep(request):
    HEARD.append(await request.json())
    return web.Response(text=str(len(HEARD)), status=201)


_memory = {}


class ClassicRemember:
    """Tells what a route was given, by its name: only in the memory of this process."""

    RETURN_TYPES = ("STRING",)
    OUTPUT_NODE = True
    FUNCTION = "run"
    CATEGORY = "tests/classic"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING",), "salt": ("STRING", {"default": ""})}}

    def run(self, name, salt):
        text = _memory[name]
        _memory[f"{name}-made"] = text.upper()
        return {"ui": {"text": [text]}, "result": (text,)}


@PromptServer.instance.routes.put("/classic/memory/{name}")
async def put_in_memory(request):
    _memory[request.match_info["name"]] = (await request.read()).decode()
    await PromptServer.instance.send_json(
        "classic.kept", {"name": request.match_info["name"]}, request.query.get("sid")
    )
    return web.Response(status=201)


@PromptServer.instance.routes.get("/classic/memory/{name}")
async def get_from_memory(request):
    name = request.match_info["name"]
    return web.Response(text=_memory[name]) if name in _memory else web.Response(status=404)


@PromptServer.instance.routes.get("/classic/broken")
async def broken(request):
    raise KeyError("broken")


@PromptServer.instance.routes.post("/classic/restart")
async def restart(request):
    how = request.query["how"]
    if how == "exec":
        os.execv(sys.executable, [sys.executable])
    elif how == "exit":
        sys.exit(0)
    elif how == "later":
        threading.Timer(0.05, os._exit, [0]).start()
    return web.json_response({"will": how, "started": STARTED})


@PromptServer.instance.routes.get("/classic/started")
async def started(request):
    return web.json_response(STARTED)


PromptServer.instance.app.router.add_static("/classic/files", os.path.join(os.path.dirname(__file__), "web"))


class ClassicNotes:
    """Reads a text file of the user's, listed by the pack itself."""

    RETURN_TYPES = ("STRING",)
    FUNCTION = "load"
    CATEGORY = "tests/classic"

    @classmethod
    def INPUT_TYPES(cls):
        listed = os.listdir(folder_paths.get_input_directory())
        return {"required": {"file": (["none", *sorted(f for f in listed if f.endswith((".txt", ".md")))],)}}

    @classmethod
    def VALIDATE_INPUTS(cls, file):
        return file == "none" or folder_paths.exists_annotated_filepath(file) or f"no such notes: {file}"

    def load(self, file):
        with open(folder_paths.get_annotated_filepath(file)) as opened:
            return (opened.read(),)


class ClassicFolder(ClassicNotes):
    """Lists a folder of the user's."""

    @classmethod
    def INPUT_TYPES(cls):
        top = folder_paths.get_input_directory()
        return {"required": {"file": ([f for f in os.listdir(top) if os.path.isdir(os.path.join(top, f))],)}}

    @classmethod
    def VALIDATE_INPUTS(cls, **inputs):
        return True

    def load(self, file):
        return (" ".join(sorted(os.listdir(folder_paths.get_annotated_filepath(file)))),)


class ClassicPath(ClassicNotes):
    """Reads a text file of the user's, whose name is typed."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"file": ("STRING", {})}}


WORK_NODES = [
    *(
        ClassicPicture,
        ClassicSave,
        ClassicCountSave,
        ClassicNote,
        ClassicPreview,
        ClassicLoad,
        ClassicFolder,
        ClassicNotes,
        ClassicPath,
        ClassicInvert,
        ClassicSteps,
        ClassicRemember,
    ),
    *(ClassicStop, ClassicDiffusion, ClassicPickle),
]
