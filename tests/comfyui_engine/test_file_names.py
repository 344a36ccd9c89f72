"""The names under which owners find files that nodes number themselves."""

from typing import Any

import pytest

from safelight.comfyui_engine.agent.file_names import FileNames, Unnumbered, is_hidden, is_valid
from safelight.comfyui_engine.agent.job_folders import FileName


class Server:
    """Reserves numbers from ``next`` on."""

    def __init__(self, **numbers: int) -> None:
        self.next, self.asked = numbers, list[tuple[Any, ...]]()

    def __call__(self, folder: str, subfolder: str, prefix: str, count: int) -> int:
        self.asked.append((folder, subfolder, prefix, count))
        first = self.next.get(prefix, 1)
        self.next[prefix] = first + count
        return first


def out(filename: str, subfolder: str = "", folder: str = "output") -> FileName:
    return FileName(folder, subfolder, filename)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("ComfyUI_00001_.png", "ComfyUI_00008_.png"),
        ("ComfyUI_00001.mp4", "ComfyUI_00008.mp4"),
        ("ComfyUI_00001-audio.mp4", "ComfyUI_00008-audio.mp4"),
        ("ComfyUI_00001", "ComfyUI_00008"),
        ("ComfyUI_000001_.png", "ComfyUI_000001_.png"),
        ("ComfyUI.png", "ComfyUI.png"),
        ("photo_20231005.png", "photo_20231005.png"),
        ("_00001_.png", "_00001_.png"),
    ],
)
def test_a_number_is_replaced_where_a_node_has_numbered_its_files(written: str, shown: str) -> None:
    names = FileNames(Server(ComfyUI=8))
    assert names.assign(out(written, "sub")) == out(shown, "sub")
    assert names.shown(out(written, "sub")) == out(shown, "sub")


def test_files_of_one_number_keep_one_number() -> None:
    names = FileNames(Server(film=4))
    found = [names.assign(out(name)).filename for name in ("film_00001.png", "film_00001.mp4", "film_00002.png")]
    assert found == ["film_00004.png", "film_00004.mp4", "film_00005.png"]


def test_numbers_that_another_job_has_taken_meanwhile_are_passed_over() -> None:
    server = Server()
    names = FileNames(server)
    assert names.assign(out("a_00001_.png")).filename == "a_00001_.png"
    server.next["a"] = 7
    assert names.assign(out("a_00003_.png")).filename == "a_00008_.png"
    assert server.asked == [("output", "", "a", 1), ("output", "", "a", 2)]


def test_folders_and_prefixes_are_numbered_apart() -> None:
    server = Server()
    names = FileNames(server)
    for name in (
        out("a_00001_.png"),
        out("a_00001_.png", "s"),
        out("a_00001_.png", folder="temp"),
        out("b_00001_.png"),
    ):
        names.assign(name)
    assert len(server.asked) == 4


def test_without_numbers_there_is_no_name() -> None:
    with pytest.raises(Unnumbered):
        FileNames(lambda *_: None).assign(out("a_00001_.png"))


@pytest.mark.parametrize("name", [out("a\\b"), out("a\n"), out("x" * 256), out("a", "/".join("a" * 33)), out("..")])
def test_names_that_the_server_would_refuse_are_not_valid(name: FileName) -> None:
    assert not is_valid(name)


def test_hidden_files_begin_with_a_dot() -> None:
    assert is_hidden(out(".probe"))
    assert is_hidden(out("a", ".cache/x"))
    assert not is_hidden(out("a.b", "c.d"))
