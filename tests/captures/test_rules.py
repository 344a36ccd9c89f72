"""Every deviation from a capture names a documented rule."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.captures.compare import DATA, load, rules

FILES = sorted(path.stem for path in DATA.glob("*.json"))


@pytest.mark.parametrize("name", FILES)
def test_rules_of_what_is_mended_are_documented(name: str) -> None:
    mended = list(_mended(load(name)))
    cited = {rule for mend in mended for rule in ([mend["rule"]] if isinstance(mend["rule"], str) else mend["rule"])}
    assert cited - rules() == set()


@pytest.mark.parametrize("name", FILES)
def test_what_is_mended_is_not_as_captured(name: str) -> None:
    for case in _cases(load(name)):
        mended = case["mended"]
        if isinstance(mended, dict):
            assert any(mended[key] != case.get(key) for key in mended if key != "rule"), case
        else:
            assert all(edit["from"] != edit["to"] for edit in mended), case


def _mended(value: Any) -> Iterator[dict[str, Any]]:
    for case in _cases(value):
        yield from [case["mended"]] if isinstance(case["mended"], dict) else case["mended"]


def _cases(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "mended" in value:
            yield value
        for child in value.values():
            yield from _cases(child)
    elif isinstance(value, list):
        for child in value:
            yield from _cases(child)
