"""Names of saved files."""

from datetime import datetime

import pytest

from safelight.runtime.filename_sequence import FilenameSequence, fill_tokens, split_prefix

NOW = datetime(2026, 3, 4, 5, 6, 7)


def names(prefix: str, *, count: int = 1, free: dict[str, int] | None = None) -> FilenameSequence:
    asked: dict[str, int] = free or {}
    return FilenameSequence(
        prefix, count=count, width=640, height=480, now=NOW, reserve=lambda sub, name: asked.get(f"{sub}|{name}", 1)
    )


@pytest.mark.parametrize(
    ("prefix", "filled"),
    [
        ("%date:yyyy-MM-dd%", "2026-03-04"),
        ("%date:yy-M-d_h:m:s%", "26-3-4_5:6:7"),
        ("%date:hhmmss%", "050607"),
        ("%year%-%month%-%day%_%hour%-%minute%-%second%", "2026-03-04_05-06-07"),
        ("%width%x%height%", "640x480"),
        ("100%_%unknown%", "100%_%unknown%"),
    ],
)
def test_tokens(prefix: str, filled: str) -> None:
    assert fill_tokens(prefix, width=640, height=480, now=NOW) == filled


@pytest.mark.parametrize(
    ("prefix", "parts"),
    [
        ("ComfyUI", ("", "ComfyUI")),
        ("video/ComfyUI", ("video", "ComfyUI")),
        ("a//b/./c", ("a/b", "c")),
        ("a\\b", ("a", "b")),
        ("folder/", ("", "folder")),
        ("execution[test_lazy_input]", ("", "execution[test_lazy_input]")),
    ],
)
def test_a_prefix_can_name_a_folder(prefix: str, parts: tuple[str, str]) -> None:
    assert split_prefix(prefix) == parts


def test_names_count_from_the_first_free_number() -> None:
    series = names("sub/a", count=2, free={"sub|a": 7})
    assert series.subfolder == "sub"
    assert [series.filename(i, ".png") for i in range(2)] == ["a_00007_.png", "a_00008_.png"]


def test_the_batch_number_can_be_part_of_the_name() -> None:
    series = names("a%batch_num%", count=2, free={"|a0": 3, "|a1": 5})
    assert [series.filename(i, ".png") for i in range(2)] == ["a0_00005_.png", "a1_00006_.png"]


def test_counters_grow_beyond_five_digits() -> None:
    assert names("a", free={"|a": 123456}).filename(0, ".png") == "a_123456_.png"


@pytest.mark.parametrize("extension", ["png", "", ".", "./../x", ".a/b", ".tar.gz"])
def test_an_invalid_extension_is_rejected(extension: str) -> None:
    with pytest.raises(ValueError, match="invalid file extension"):
        names("a").filename(0, extension)
