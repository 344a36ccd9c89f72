"""Users' patterns: the same results as ``re``, and never past the time limit."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.nodes.text.limits import MAX_CHARACTERS, TextTooLong
from safelight.nodes.text.patterns import LIMIT_S, Pattern, TooSlow
from safelight.nodes.text.regex import RegexMatch, RegexReplace

NO_FLAGS = re.RegexFlag(0)
SLOW = (r"(a|a)*$", "a" * 40 + "!")
"""``regex`` too would need years; of the usual examples it sees most to their end at once."""


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"(a+)+$", "a" * 40 + "!"),
        (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 60),
        (r"(x+x+)+y", "x" * 60),
        (r"(.*)*\d$", "x" * 60),
    ],
)
def test_patterns_for_which_re_needs_years_have_an_answer(pattern: str, text: str) -> None:
    assert RegexMatch.execute(text, pattern, False, False, False).values[0] is False
    assert RegexReplace.execute(text, pattern, "-", case_insensitive=False).values[0] == text


def test_a_pattern_that_would_not_end_is_stopped() -> None:
    begun = time.monotonic()
    with pytest.raises(TooSlow, match=re.escape(f"the pattern '(a|a)*$' takes longer than {LIMIT_S:g} s")):
        RegexMatch.execute(SLOW[1], SLOW[0], False, False, False)
    assert time.monotonic() - begun < 6 * LIMIT_S, "it is looked at now and then, on a machine that is busy"


def test_every_way_to_use_a_pattern_stops() -> None:
    pattern = Pattern(SLOW[0], NO_FLAGS, limit_s=0.1)
    with pytest.raises(TooSlow):
        pattern.search(SLOW[1])
    with pytest.raises(TooSlow):
        list(pattern.matches(SLOW[1]))
    with pytest.raises(TooSlow):
        pattern.replace(SLOW[1], "-", count=0)


PATTERNS = [
    *("a", "a|b", "(a)(b)?", r"\w+", r"\bcat\b", "x*", "", "^", "$", r"\d{2,3}", r"(?P<n>a)(?P=n)", "[^ab]+", "a{,2}"),
    *(
        r"(?i)A",
        "(?s).",
        "(?<=a)b",
        "(?<!a)b",
        "a+?",
        "[[]",
        "[a-z&&b]",
        "[a||b]",
        "[a--b]",
        r"\s+",
        r"(a)|b",
        "é",
        "ß",
    ),
    *("a{e}", "a{e<=1}", "{a}", "a{", "}{", r"\{a\}", "a{1,2}{3}", "(?:ab)+", "(?=a)", "[]a]", r"\Z", "İ", "[{]e<2}"),
    *(r"\N{LATIN SMALL LETTER A}", "a{2}", "a{1e}", "(?x) a b # c", "(?#{e})a", "a{i<=1,d<=1}", "(?>a+)b", "a++b"),
]
TEXTS = [
    "",
    "a",
    "ab",
    "aab abc",
    "cat scatter CAT",
    "12 345\n6",
    "a{e}b",
    "{a}",
    "aé ßss İi",
    "a\nb\r\nc",
    "a{e<=1}",
    "[a]",
]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("flags", [NO_FLAGS, re.IGNORECASE, re.MULTILINE | re.DOTALL])
def test_patterns_match_as_in_re(pattern: str, flags: re.RegexFlag) -> None:
    try:
        expected = re.compile(pattern, flags)
    except re.error:
        with pytest.raises(re.error):
            Pattern(pattern, flags)
        return
    ours = Pattern(pattern, flags)
    for text in TEXTS:
        found = [(m.span(), m.groups()) for m in ours.matches(text)]
        assert found == [(m.span(), m.groups()) for m in expected.finditer(text)], text
        for template in ("-", r"<\g<0>>"):
            assert ours.replace(text, template, count=0) == expected.sub(template, text)
            assert ours.replace(text, template, count=1) == expected.sub(template, text, count=1)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@given(
    st.text(alphabet="ab|*+?()[]^$.{}1,e<=\\d", max_size=8),
    st.text(alphabet="ab1{}e<=\n", max_size=8),
)
def test_any_pattern_matches_as_in_re(pattern: str, text: str) -> None:
    try:
        expected = re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return
    assert [m.span() for m in Pattern(pattern, NO_FLAGS).matches(text)] == [m.span() for m in expected.finditer(text)]


@pytest.mark.parametrize("template", [r"\9", r"\q", r"\g<none>", "\\"])
def test_templates_are_refused_as_re_refuses_them(template: str) -> None:
    with pytest.raises((re.error, IndexError)):
        re.sub("a", template, "a")
    with pytest.raises((re.error, IndexError)):
        RegexReplace.execute("b", "a", template)


def test_a_replacement_cannot_fill_the_memory() -> None:
    with pytest.raises(TextTooLong):
        RegexReplace.execute("a" * 10_000, "a", "b" * 10_000)
    assert len(str(RegexReplace.execute("a" * 1000, "a", "b" * 1000).values[0])) == 1_000_000
    assert MAX_CHARACTERS > 1_000_000
