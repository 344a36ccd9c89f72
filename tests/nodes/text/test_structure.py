"""Structured text: JSON within text, and templates that cannot reach into the process."""

import pytest

from safelight.nodes.text.structure import (
    ConvertArrayToString,
    ConvertDictionaryToString,
    JsonExtractString,
    StringFormat,
)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ('{"prompt": "a cat"}', "prompt", "a cat"),
        ('Here it is:\n```json\n{"n": 48, "on": true, "gone": null}\n```\nEnjoy {it}!', "n", "48"),
        ('{"on": true}', "on", "True"),
        ('{"gone": null}', "gone", ""),
        ('{"a": 1}', "b", ""),
        ("{not json} {", "a", ""),
        ('{broken {"a": {"b": 2}}', "a", "{'b': 2}"),
        ('[1, {"a": 2}]', "a", "2"),
        ("", "a", ""),
    ],
)
def test_json(text: str, key: str, value: str) -> None:
    assert JsonExtractString.execute(text, key).values == (value,)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{a}: {b:.3f}", "x: 0.500"),
        ("{{{a}}}", "{x}"),
        ("{b:>{c}}", "   0.5"),
        ("{d[0]}{d[1]!r}", "1'y'"),
        ("plain", "plain"),
    ],
)
def test_format(template: str, text: str) -> None:
    assert StringFormat.execute(template, {"a": "x", "b": 0.5, "c": 6, "d": [1, "y"]}).values == (text,)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{a.__class__}", "attribute"),
        ("{a[0].__class__}", "attribute"),
        ("{e}", "'?e'?.* is not connected"),
        ("{}", "not connected"),
        ("{a:>99999999999}", "more than"),
        ("{a:>{b}}", "more than"),
    ],
)
def test_format_refuses(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StringFormat.execute(template, {"a": "x", "b": 10**9})


def test_a_template_needs_no_values() -> None:
    assert StringFormat.execute("{{plain}}").values == ("{plain}",)


def test_json_is_written() -> None:
    assert ConvertArrayToString.execute([1, "ü"], 0).values == ('[1, "ü"]',)
    assert ConvertDictionaryToString.execute({"a": [1]}).values == ('{\n  "a": [\n    1\n  ]\n}',)
