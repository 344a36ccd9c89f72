"""What nodes print, as lines."""

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
def test_lines_are_emitted_when_they_are_complete(written: list[str], lines: list[str]) -> None:
    emitted: list[str] = []
    stream = Lines(lambda at, line: emitted.append(line), io.StringIO())
    for piece in written:
        assert stream.write(piece) == len(piece)
    stream.finish()
    assert emitted == lines


def test_a_line_without_end_is_split() -> None:
    emitted: list[str] = []
    stream = Lines(lambda at, line: emitted.append(line), io.StringIO())
    stream.write("x" * 20_000)
    stream.finish()
    assert [len(line) for line in emitted] == [8192, 8192, 3616]


def test_pythons_streams_are_redirected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    emitted: list[str] = []
    finish = redirect(lambda at, line: emitted.append(line))
    print("to stdout")
    print("to stderr", end="", file=sys.stderr)
    assert sys.stdout.fileno() == 1
    finish()
    assert emitted == ["to stdout", "to stderr"]
