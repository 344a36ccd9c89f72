import pytest

from safelight.core.asset import FileName, Folder, clean_subfolder, parse_file_name
from safelight.core.errors import InvalidName


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.png", FileName(Folder.INPUT, "", "a.png")),
        ("a.png [output]", FileName(Folder.OUTPUT, "", "a.png")),
        ("x/y/a b.png [temp]", FileName(Folder.TEMP, "x/y", "a b.png")),
        ("x\\y.png", FileName(Folder.INPUT, "x", "y.png")),
        ("a [nope]", FileName(Folder.INPUT, "", "a [nope]")),
        ("execution[test]_00001_.png", FileName(Folder.INPUT, "", "execution[test]_00001_.png")),
    ],
)
def test_annotated_names(text: str, expected: FileName) -> None:
    assert parse_file_name(text) == expected


@pytest.mark.parametrize("text", ["", "..", "../a.png", "x/../../a.png", "/etc/passwd", "a\0.png", "x/", "a" * 300])
def test_names_that_would_leave_their_folder(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_file_name(text)


def test_subfolders_are_normalised() -> None:
    assert clean_subfolder("a//./b/") == "a/b"
    with pytest.raises(InvalidName, match="relative folder"):
        clean_subfolder("C:/x")
