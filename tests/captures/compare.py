"""Comparing a response with the captured one: the same keys, JSON types and values, except ids and times.

The data contains the captured JSON, with a word in angle brackets for each value that differs between runs.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
BEHAVIOUR = Path(__file__).parents[2] / "docs" / "reference" / "behaviour.md"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


WORDS: Mapping[str, Callable[[Any], bool]] = {
    "<id>": lambda v: isinstance(v, str) and re.fullmatch(r"[0-9a-f-]{32,36}", v) is not None,
    "<text>": lambda v: isinstance(v, str) and v != "",
    "<file>": lambda v: isinstance(v, str) and re.fullmatch(r"ComfyUI_temp_[a-z]{5}_\d{5}_\.png", v) is not None,
    "<time>": lambda v: isinstance(v, int) and 10**12 < v < 10**13,
    "<number>": _is_number,
    "<negative>": lambda v: _is_number(v) and v < 0,
    "<object>": lambda v: isinstance(v, dict),
    "<lines>": lambda v: isinstance(v, list) and all(isinstance(line, str) for line in v),
}


def load(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text("utf-8"))


def rules() -> set[str]:
    """The ids of the deviations that are documented."""
    return set(re.findall(r"^\| ([A-Z]+-\d+) \|", BEHAVIOUR.read_text("utf-8"), re.MULTILINE))


def expected(case: Mapping[str, Any]) -> dict[str, Any]:
    """The expected case of this server: the captured one, with the documented deviations applied."""
    return {**case, **case.get("mended", {})}


def differences(captured: Any, actual: Any, *, adds: Collection[str] = (), at: str = "") -> Iterator[str]:
    """The differences from the capture, as messages. ``adds``: keys that this server adds."""
    if isinstance(captured, str) and captured in WORDS:
        if not WORDS[captured](actual):
            yield f"{at}: {actual!r} is not a {captured}"
    elif isinstance(captured, dict) and isinstance(actual, dict):
        for key in sorted(captured.keys() | actual.keys()):
            if key not in actual:
                yield f"{at}.{key} is missing"
            elif key in captured:
                yield from differences(captured[key], actual[key], adds=adds, at=f"{at}.{key}")
            elif key not in adds:
                yield f"{at}.{key} is more than captured: {actual[key]!r}"
    elif isinstance(captured, list) and isinstance(actual, list) and len(captured) == len(actual):
        for index, (one, other) in enumerate(zip(captured, actual, strict=True)):
            yield from differences(one, other, adds=adds, at=f"{at}[{index}]")
    elif captured != actual or isinstance(captured, bool) != isinstance(actual, bool):
        yield f"{at}: {actual!r} instead of {captured!r}"
