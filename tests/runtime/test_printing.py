"""Lines from what nodes print."""

import io
import sys

import pytest

from safelight.runtime.printing import Lines, redirect


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (["one\ntwo\n"], ["one", "two"]),
        (["o", "n", "e\n", "two"], ["one", "two"]),
        (["\r10%", "\r20%", "\r100%\n", "done\n"], ["100%", "done"]),
        (["10%\r", "20%\r", "\n"], ["20%"]),
        (["windows\r\n"], ["windows"]),
        (["\n\n"], ["", ""]),
    ],
)
def test_lines_are_said_when_they_are_complete(written: list[str], lines: list[str]) -> None:
    said: list[str] = []
    stream = Lines(lambda at, line: said.append(line), io.StringIO())
    for piece in written:
        assert stream.write(piece) == len(piece)
    stream.finish()
    assert said == lines


def test_a_line_without_end_is_cut() -> None:
    said: list[str] = []
    stream = Lines(lambda at, line: said.append(line), io.StringIO())
    stream.write("x" * 20_000)
    stream.finish()
    assert [len(line) for line in said] == [8192, 8192, 3616]


def test_pythons_streams_are_redirected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    said: list[str] = []
    finish = redirect(lambda at, line: said.append(line))
    print("to stdout")
    print("to stderr", end="", file=sys.stderr)
    assert sys.stdout.fileno() == 1
    finish()
    assert said == ["to stdout", "to stderr"]
