"""Numbers, lists, blockers, laziness, checks of inputs."""

import asyncio

from comfy.comfy_types import IO, ComfyNodeABC, InputTypeDict
from comfy_execution.graph import ExecutionBlocker


class Any(str):
    """Equal to every type, as packs write it."""

    def __ne__(self, other):
        return False

    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


class ClassicNumber(ComfyNodeABC):
    @classmethod
    def INPUT_TYPES(cls) -> InputTypeDict:
        return {"required": {"value": (IO.INT, {"default": 0})}}

    RETURN_TYPES = (IO.INT,)
    FUNCTION = "run"
    CATEGORY = "tests/classic"

    def run(self, value):
        return (value,)


class ClassicAdd(ClassicNumber):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT", {"default": 0}), "b": ("INT", {"default": 0})}}

    def run(self, a, b):
        return (a + b,)


class ClassicLess(ClassicAdd):
    RETURN_TYPES = ("BOOLEAN",)

    def run(self, a, b):
        return (a < b,)


class ClassicShow(ClassicNumber):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (Any("*"),)}, "hidden": {"my_id": "UNIQUE_ID"}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, value, my_id):
        return {"ui": {"text": (str(value), my_id)}}


class ClassicHidden:
    """Gets hidden inputs of a type that the engine knows nothing of from the prompt, and otherwise not at all."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "hidden": {"given": ("*",), "absent": ("*",), "my_id": "UNIQUE_ID"}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"

    def run(self, **values):
        return {"ui": {"text": [f"{name}={value}" for name, value in sorted(values.items())]}}


class ClassicMix(ClassicNumber):
    """Two numbers mixed; what has no weight is not computed."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "a": ("INT", {"lazy": True}),
                "b": ("INT", {"lazy": True}),
                "weight": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0}),
            }
        }

    def check_lazy_status(self, weight, a=None, b=None):
        wanted = [("a", a, weight < 1), ("b", b, weight > 0)]
        return [name for name, value, needed in wanted if needed and value is None]

    def run(self, weight, a=None, b=None):
        return (round((a or 0) * (1 - weight) + (b or 0) * weight),)


class ClassicNever(ClassicNumber):
    def run(self, value):
        raise AssertionError("this must not be computed")


class ClassicRange(ClassicNumber):
    OUTPUT_IS_LIST = (True,)

    def run(self, value):
        return (list(range(value)),)


class ClassicSum(ClassicNumber):
    INPUT_IS_LIST = True

    def run(self, value):
        return (sum(value),)


class ClassicBlock(ClassicNumber):
    """Lets odd numbers of a list pass, with or without a word."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",), "word": ("STRING", {"default": ""})}}

    def run(self, value, word):
        return (value if value % 2 else ExecutionBlocker(word or None),)


class ClassicWait(ClassicNumber):
    """Takes its time, and tells when it began and ended."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",), "seconds": ("FLOAT", {"default": 0.1})}}

    async def run(self, value, seconds):
        print(f"begin {value}")
        await asyncio.sleep(seconds)
        print(f"end {value}")
        return (value,)


class ClassicClock(ClassicNumber):
    """Never the same."""

    @classmethod
    def IS_CHANGED(cls, **kwargs):
        return float("nan")

    def run(self, value):
        print("the clock ran")
        return (value,)


class ClassicTens(ClassicClock):
    """The same for all numbers of ten."""

    @classmethod
    def IS_CHANGED(cls, value):
        return value // 10


class ClassicJudge(ClassicNumber):
    """Judges everything that it is given."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"max": 5}), "mode": (["a", "b"],)}}

    @classmethod
    def VALIDATE_INPUTS(cls, **kwargs):
        return True if kwargs["value"] < 100 else f"{kwargs['value']} in mode {kwargs['mode']} is too much"

    def run(self, value, mode):
        return (value,)


class ClassicTypes(ClassicNumber):
    """Judges the types of what is linked to it."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True if input_types["value"] in ("INT", "BOOLEAN") else f"{input_types['value']} will not do"


class ClassicFail(ClassicNumber):
    """Fails where it is told to."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"where": ("STRING", {}), "value": ("INT", {"lazy": True})}}

    @classmethod
    def VALIDATE_INPUTS(cls, where):
        if where == "judging":
            raise ValueError("failed in judging")
        return True

    @classmethod
    def IS_CHANGED(cls, where, **kwargs):
        if where == "fingerprint":
            raise ValueError("failed in fingerprint")
        return where

    def check_lazy_status(self, where, value=None):
        if where == "lazy":
            raise ValueError("failed in lazy")
        return ["value"]

    def run(self, where, value):
        if where == "run":
            raise ValueError("failed in run")
        return (value,)


VALUE_NODES = [
    *(
        ClassicNumber,
        ClassicAdd,
        ClassicLess,
        ClassicShow,
        ClassicHidden,
        ClassicMix,
        ClassicNever,
        ClassicRange,
        ClassicSum,
    ),
    *(ClassicBlock, ClassicWait, ClassicClock, ClassicTens, ClassicJudge, ClassicTypes, ClassicFail),
]
