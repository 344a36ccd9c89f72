"""Users' regular expressions: ``re``'s dialect, with a time limit for matching.

``re`` itself cannot be stopped, and some short patterns would take longer than the age of the universe on a short text
(``(a+)+$``). Therefore ``re`` decides which patterns and replacements are valid, and the ``regex`` package, which has a
timeout, does the matching. Where the two read a pattern differently, it is rewritten to mean what it means to ``re``.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

import regex

from safelight.nodes.text.limits import joined

LIMIT_S = 5.0
"""Time limit of one node for matching its pattern."""
MAX_PATTERN_LENGTH = 100_000
_BRACES = re.compile(r"\\N\{[^}]*\}|\\.|\{(?:\d+(?:,\d*)?|,\d*)\}|\{", re.DOTALL)


class TooSlow(ValueError):
    """Matching a pattern takes too long on a text; the message names the pattern."""

    def __init__(self, pattern: str, limit_s: float) -> None:
        super().__init__(f"the pattern {pattern!r} takes longer than {limit_s:g} s on this text; simplify it")


class Pattern:
    """A pattern that is valid for ``re``; the constructor raises :class:`re.error` for any other."""

    def __init__(self, text: str, flags: re.RegexFlag, *, limit_s: float = LIMIT_S) -> None:
        if len(text) > MAX_PATTERN_LENGTH:
            raise re.error(f"the pattern is longer than {MAX_PATTERN_LENGTH} characters")
        self._text = text
        self._limit_s = limit_s
        self._model = re.compile(text, flags)
        self._limited = regex.compile(_as_re_reads_it(text), int(flags) | regex.VERSION0)

    @property
    def groups(self) -> int:
        return self._model.groups

    def matches(self, text: str) -> Iterator[Any]:
        """The matches that ``re.finditer`` finds. Raises :class:`TooSlow`."""
        ends = time.monotonic() + self._limit_s
        try:
            for match in self._limited.finditer(text, timeout=self._limit_s, concurrent=True):
                if time.monotonic() > ends:
                    raise TooSlow(self._text, self._limit_s)
                yield match
        except TimeoutError:
            raise TooSlow(self._text, self._limit_s) from None

    def search(self, text: str) -> Any | None:
        """The first match. Raises :class:`TooSlow`."""
        return next(self.matches(text), None)

    def replace(self, text: str, template: str, *, count: int) -> str:
        """``re.sub``; ``count`` 0 replaces all. Raises :class:`re.error` for a template that ``re`` refuses,
        :class:`TooSlow` and :class:`~safelight.nodes.text.limits.TextTooLong`."""
        self._model.sub(template, "")

        def parts() -> Iterator[str]:
            end = 0
            for done, match in enumerate(self.matches(text)):
                if count and done == count:
                    break
                yield text[end : match.start()]
                yield match.expand(template) if "\\" in template else template
                end = match.end()
            yield text[end:]

        return joined(parts())


def _as_re_reads_it(pattern: str) -> str:
    """Escape a brace that does not repeat anything; ``regex`` could read it as the start of a fuzzy match."""
    return _BRACES.sub(lambda found: r"\{" if found[0] == "{" else found[0], pattern)
