"""Files that cached results name: asked for before a result is used, and made again when they are gone."""

from collections.abc import Sequence

from safelight.comfyui_engine.agent.job_folders import FileName
from safelight.comfyui_engine.agent.kept_results import MAX_RESULTS, KeptFile, KeptResults, ancestries

A = (FileName("output", "", "a.png"), "d1")
B = (FileName("output", "", "b.png"), "d2")


def all_there(files: Sequence[KeptFile]) -> Sequence[int]:
    return []


def remember(kept: KeptResults, ancestry: str, files: Sequence[KeptFile], unnamed: Sequence[FileName] = ()) -> None:
    kept.remember("anna", ancestry, files, unnamed=list(unnamed), names={name: name for name, _ in files})


def test_nothing_is_asked_before_something_was_saved() -> None:
    def refuse(files: Sequence[KeptFile]) -> Sequence[int]:
        raise AssertionError(files)

    assert KeptResults().check("anna", {"1": "x"}, refuse) == {}


def test_what_names_a_file_that_is_gone_gets_a_new_generation_for_good() -> None:
    kept = KeptResults()
    remember(kept, "x", [A])
    remember(kept, "y", [B])
    assert kept.check("anna", {"1": "x", "2": "y"}, all_there) == {}
    assert kept.check("anna", {"1": "x", "2": "y"}, lambda files: [files.index(B)]) == {"2": 1}
    remember(kept, "y", [B])
    assert kept.check("anna", {"1": "x", "2": "y"}, all_there) == {"2": 1}, "or the old result would be found again"
    assert kept.check("bob", {"1": "x", "2": "y"}, all_there) == {}


def test_unnamed_files_are_those_of_the_latest_run() -> None:
    kept = KeptResults()
    remember(kept, "x", [A, B], [A[0]])
    assert kept.shown("anna", "x")[1] == [A[0]]
    assert kept.shown("bob", "x") == ({}, ())
    remember(kept, "x", [])
    assert kept.shown("anna", "x") == ({}, [])


def test_the_memory_is_bounded() -> None:
    kept = KeptResults()
    for number in range(MAX_RESULTS + 1):
        remember(kept, str(number), [A], [A[0]])
    assert kept.shown("anna", "0") == ({}, ())
    assert kept.shown("anna", str(MAX_RESULTS))[1] == [A[0]]


def test_an_ancestry_changes_with_everything_that_a_node_depends_on() -> None:
    prompt = {
        "1": {"class_type": "Load", "inputs": {"name": "a.png"}},
        "2": {"class_type": "Save", "inputs": {"image": ["1", 0], "prefix": "x"}},
        "3": {"class_type": "Other", "inputs": {}},
    }
    first = ancestries(prompt, {"a.png": "d1"})
    assert first["2"] == ancestries({"2": prompt["2"], "1": prompt["1"]}, {"a.png": "d1"})["2"]
    assert first["2"] != ancestries(prompt, {"a.png": "d2"})["2"]
    assert first["3"] == ancestries(prompt, {"a.png": "d2"})["3"]
    changed = prompt | {"1": {"class_type": "Load", "inputs": {"name": "b.png"}}}
    assert first["2"] != ancestries(changed, {})["2"]


def test_a_cycle_has_an_end() -> None:
    prompt = {"1": {"class_type": "A", "inputs": {"a": ["2", 0]}}, "2": {"class_type": "A", "inputs": {"a": ["1", 0]}}}
    assert set(ancestries(prompt, {})) == {"1", "2"}
