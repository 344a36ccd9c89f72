"""Prompts of the tests, in API format."""

from typing import Any

Prompt = dict[str, dict[str, Any]]


def picture(prefix: str = "cap") -> Prompt:
    """Four nodes in a chain, as in the captured scenarios."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"color": 3}},
        "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "width": 32}},
        "3": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": prefix}},
    }


def text() -> Prompt:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"color": 3}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
