"""Nodes on a text with regular expressions, in Python's dialect, with a time limit (``patterns.py``)."""

import re
from collections.abc import Iterable, Iterator

from safelight.nodes.text.limits import joined
from safelight.nodes.text.patterns import Pattern
from safelight.sdk import Node, NodeOutput, Schema, io


class RegexMatch(Node):
    """Check whether a regular expression matches anywhere in a text. An invalid expression never matches."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="RegexMatch",
            display_name="Regex Match",
            category="utils/string",
            inputs=[
                io.String.Input("string", multiline=True),
                io.String.Input("regex_pattern", multiline=True),
                io.Boolean.Input("case_insensitive", default=True),
                io.Boolean.Input("multiline", default=False),
                io.Boolean.Input("dotall", default=False),
            ],
            outputs=[io.Boolean.Output(display_name="matches")],
        )

    @classmethod
    def execute(
        cls, string: str, regex_pattern: str, case_insensitive: bool, multiline: bool, dotall: bool
    ) -> NodeOutput:
        try:
            pattern = Pattern(regex_pattern, _flags(case_insensitive, multiline, dotall))
        except re.error:
            return NodeOutput(False)
        return NodeOutput(pattern.search(string) is not None)


class RegexExtract(Node):
    """Extract the first match of a regular expression, all matches, or a group of them, one per line. The result is
    empty if nothing matches or the expression is invalid."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="RegexExtract",
            display_name="Regex Extract",
            category="utils/string",
            inputs=[
                io.String.Input("string", multiline=True),
                io.String.Input("regex_pattern", multiline=True),
                io.Combo.Input("mode", ["First Match", "All Matches", "First Group", "All Groups"]),
                io.Boolean.Input("case_insensitive", default=True),
                io.Boolean.Input("multiline", default=False),
                io.Boolean.Input("dotall", default=False),
                io.Int.Input("group_index", default=1, min=0, max=100),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(
        cls,
        string: str,
        regex_pattern: str,
        mode: str,
        case_insensitive: bool,
        multiline: bool,
        dotall: bool,
        group_index: int,
    ) -> NodeOutput:
        try:
            pattern = Pattern(regex_pattern, _flags(case_insensitive, multiline, dotall))
        except re.error:
            return NodeOutput("")
        # "All Matches" of a pattern with groups means the first group of each, as in Python's findall
        group = {"First Match": 0, "All Matches": min(pattern.groups, 1)}.get(mode, group_index)
        if group > pattern.groups:
            return NodeOutput("")
        match mode:
            case "First Match" | "First Group":
                first = pattern.search(string)
                return NodeOutput((first[group] or "") if first else "")
            case "All Matches":
                return NodeOutput(joined(_lines(m[group] or "" for m in pattern.matches(string))))
            case "All Groups":
                return NodeOutput(joined(_lines(m[group] for m in pattern.matches(string) if m[group] is not None)))
        raise ValueError(f"unknown mode {mode!r}")


class RegexReplace(Node):
    r"""Replace what a regular expression matches. The replacement may refer to groups (\1, \g<name>). "count" limits
    how many matches are replaced; 0 replaces all."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="RegexReplace",
            display_name="Regex Replace",
            category="utils/string",
            inputs=[
                io.String.Input("string", multiline=True),
                io.String.Input("regex_pattern", multiline=True),
                io.String.Input("replace", multiline=True),
                io.Boolean.Input("case_insensitive", optional=True, default=True),
                io.Boolean.Input("multiline", optional=True, default=False),
                io.Boolean.Input("dotall", optional=True, default=False),
                io.Int.Input("count", optional=True, default=0, min=0, max=100),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(
        cls,
        string: str,
        regex_pattern: str,
        replace: str,
        case_insensitive: bool = True,
        multiline: bool = False,
        dotall: bool = False,
        count: int = 0,
    ) -> NodeOutput:
        pattern = Pattern(regex_pattern, _flags(case_insensitive, multiline, dotall))
        return NodeOutput(pattern.replace(string, replace, count=count))


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """The texts, with line breaks between them."""
    for index, text in enumerate(texts):
        yield f"\n{text}" if index else text


def _flags(case_insensitive: bool, multiline: bool, dotall: bool) -> re.RegexFlag:
    flags = re.RegexFlag(0)
    if case_insensitive:
        flags |= re.IGNORECASE
    if multiline:
        flags |= re.MULTILINE
    if dotall:
        flags |= re.DOTALL
    return flags
