"""Nodes of the captured graphs that no library has: still pictures, lazy mixes, blockers, sleepers and a cycle.

Names and inputs are those of the captures, so that their prompts run unchanged; the code is our own.
"""

import asyncio
import time

import torch
from comfy.utils import ProgressBar
from comfy_execution.graph import ExecutionBlocker
from comfy_execution.graph_utils import GraphBuilder
from PIL import Image

SIZES = {name: ("INT", {"default": 64, "min": 1, "max": 1024}) for name in ("height", "width", "batch_size")}
TICK_S = 0.01


class StubImage:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"content": (["WHITE", "BLACK"],), **SIZES}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "make"
    CATEGORY = "captures"

    def make(self, content, height, width, batch_size):
        return (torch.full((batch_size, height, width, 3), 1.0 if content == "WHITE" else 0.0),)


class StubMask:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}), **SIZES}}

    RETURN_TYPES = ("MASK",)
    FUNCTION = "make"
    CATEGORY = "captures"

    def make(self, value, height, width, batch_size):
        return (torch.full((batch_size, height, width), value),)


class TestLazyMixImages:
    """Asks for a picture only where the mask lets some of it through."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"image1": ("IMAGE", {"lazy": True}), "image2": ("IMAGE", {"lazy": True}), "mask": ("MASK",)}
        }

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "mix"
    CATEGORY = "captures"

    def check_lazy_status(self, mask, image1, image2):
        wanted = [("image1", image1)] if mask.min() < 1 else []
        wanted += [("image2", image2)] if mask.max() > 0 else []
        return [name for name, value in wanted if value is None]

    def mix(self, mask, image1=None, image2=None):
        if image1 is None or image2 is None:
            return (image2 if image1 is None else image1,)
        return (image1 * (1 - mask[..., None]) + image2 * mask[..., None],)


class TestDynamicDependencyCycle:
    """Expands to two lazy mixes that ask for one another."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input1": ("IMAGE",), "input2": ("IMAGE",)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "expand"
    CATEGORY = "captures"

    def expand(self, input1, input2):
        graph = GraphBuilder()
        mask = graph.node("StubMask", value=0.25, height=64, width=64, batch_size=1)
        first = graph.node("TestLazyMixImages", image1=input1, mask=mask.out(0))
        second = graph.node("TestLazyMixImages", image1=first.out(0), image2=input2, mask=mask.out(0))
        first.set_input("image2", second.out(0))
        return {"result": (second.out(0),), "expand": graph.finalize()}


class TestSleep:
    """Hands its value on after a while, and says how far it is."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"value": ("*", {}), "seconds": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 60.0})},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    RETURN_TYPES = ("*",)
    FUNCTION = "sleep"
    CATEGORY = "captures"

    async def sleep(self, value, seconds, unique_id):
        bar, ticks = ProgressBar(seconds, node_id=unique_id), round(seconds / TICK_S)
        for tick in range(ticks):
            bar.update_absolute(seconds * tick / ticks)
            await asyncio.sleep(TICK_S)
        bar.update_absolute(seconds)
        return (value,)


class TestAsyncError:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*", {}), "error_after": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 60.0})}}

    RETURN_TYPES = ("*",)
    FUNCTION = "fail"
    CATEGORY = "captures"

    async def fail(self, value, error_after):
        await asyncio.sleep(error_after)
        raise RuntimeError("Intentional async execution error for testing")


class TestDynamicAsyncGeneration:
    """Expands to sleepers that run at the same time, and a mix of what they hand on."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image1": ("IMAGE",),
                "image2": ("IMAGE",),
                "num_async_nodes": ("INT", {"default": 2, "min": 2, "max": 2}),
                "sleep_duration": ("FLOAT", {"default": 0.1, "min": 0.0, "max": 10.0}),
            }
        }

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "expand"
    CATEGORY = "captures"

    def expand(self, image1, image2, num_async_nodes, sleep_duration):
        graph = GraphBuilder()
        slow = [graph.node("TestSleep", value=value, seconds=sleep_duration) for value in (image1, image2)]
        pictures = {f"image{number}": node.out(0) for number, node in enumerate(slow, start=1)}
        both = graph.node("ImageBlend", blend_factor=0.5, blend_mode="normal", **pictures)
        return {"result": (both.out(0),), "expand": graph.finalize()}


class TestExecutionBlocker:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input": ("*",), "block": ("BOOLEAN",), "verbose": ("BOOLEAN", {"default": False})}}

    RETURN_TYPES = ("*",)
    FUNCTION = "block"
    CATEGORY = "captures"

    def block(self, input, block, verbose):
        if not block:
            return (input,)
        return (ExecutionBlocker("Blocked Execution" if verbose else None),)


class Prints:
    """Says a line to the log."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"line": ("STRING", {"default": ""})}}

    RETURN_TYPES = ()
    FUNCTION = "say"
    CATEGORY = "captures"
    OUTPUT_NODE = True

    def say(self, line):
        print(line)
        return {}


class SlowSteps:
    """Stands for a sampler: many steps of equal length, each with its progress and a preview."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "steps": ("INT", {"default": 20, "min": 1, "max": 10_000})}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "captures"

    def run(self, image, steps):
        bar, preview = ProgressBar(steps), ("JPEG", Image.new("RGB", (32, 32)), 512)
        for step in range(steps):
            time.sleep(TICK_S)
            bar.update_absolute(step + 1, steps, preview)
        return (image,)


NODE_CLASS_MAPPINGS = {
    node.__name__: node
    for node in (
        StubImage,
        StubMask,
        TestLazyMixImages,
        TestDynamicDependencyCycle,
        TestSleep,
        TestAsyncError,
        TestDynamicAsyncGeneration,
        TestExecutionBlocker,
        Prints,
        SlowSteps,
    )
}
