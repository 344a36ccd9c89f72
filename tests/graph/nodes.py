"""The nodes of the execution tests: values are strings that show how they were computed."""

from typing import Any

from tests.graph.catalogue import node
from tests.graph.fake_runner import TestNode

from safelight.graph.instructions import Blocked, Returned

LAZY = ("IMAGE", {"lazy": True})


def _mix(a: str | None, b: str | None, mask: float) -> tuple[str]:
    return (f"({a if mask < 1 else ''}{b if mask > 0 else ''})",)


def _mix_needs(a: str | None, b: str | None, mask: float) -> list[str]:
    wanted = (["a"] if mask < 1 else []) + (["b"] if mask > 0 else [])
    return [name for name in wanted if {"a": a, "b": b}[name] is None]


def _fail(**arguments: Any) -> tuple[()]:
    raise ValueError("it broke")


def _save(images: str) -> Returned:
    return Returned((), {"images": [images]})


NODES = {
    "Load": TestNode(node("Load", {"name": "STRING"}, "IMAGE"), lambda name: (name,)),
    "Invert": TestNode(node("Invert", {"image": "IMAGE"}, "IMAGE"), lambda image: (f"-{image}",)),
    "Join": TestNode(node("Join", {"a": "IMAGE", "b": "IMAGE"}, "IMAGE"), lambda a, b: (f"{a}{b}",)),
    "Mix": TestNode(node("Mix", {"a": LAZY, "b": LAZY, "mask": "FLOAT"}, "IMAGE"), _mix, lazy=_mix_needs),
    "Save": TestNode(node("Save", {"images": "IMAGE"}, output=True), _save),
    "Sink": TestNode(node("Sink", {"value": "*"}, output=True), lambda value: ()),
    "Fail": TestNode(node("Fail", {"image": "IMAGE"}, "IMAGE"), _fail),
    "Many": TestNode(node("Many", {"count": "INT"}, "IMAGE[]"), lambda count: ([f"i{n}" for n in range(count)],)),
    "Count": TestNode(node("Count", {"images": "IMAGE"}, "INT", lists=True), lambda images: (len(images),)),
    "Block": TestNode(
        node("Block", {"image": "IMAGE", "message": "STRING"}, "IMAGE"),
        lambda image, message: (Blocked(message or None),),
    ),
    "Sleep": TestNode(node("Sleep", {"image": "IMAGE"}, "IMAGE"), lambda image: (f"z{image}",), waits=True),
    "SleepFail": TestNode(node("SleepFail", {"image": "IMAGE"}, "IMAGE"), _fail, waits=True),
}
