"""Cached results that name files: used while the files exist, recomputed when they are gone."""

from dataclasses import replace

from tests.graph.catalogue import node
from tests.graph.fake_runner import FakeRunner, TestNode, graph
from tests.graph.nodes import NODES

from safelight.graph import instructions as do
from safelight.graph.cache import LimitedCache
from safelight.graph.instructions import Returned

SAVING = {**NODES, "Save": replace(NODES["Save"], saves=True)}
ONE = graph(n1=("Load", {"name": "x"}), n2=("Save", {"images": ["1", 0]}))


def runner() -> FakeRunner:
    return FakeRunner(SAVING, cache=LimitedCache())


def test_a_result_whose_file_exists_is_reported_again() -> None:
    it = runner()
    it.play(ONE, "2")
    assert it.play(ONE, "2") == [
        "files ann-2-1",
        "cached 1 2",
        "output 2 {images=[x]} cached",
        "finish 2",
        "end completed",
    ]


def test_a_result_whose_file_is_gone_is_recomputed_but_not_its_sources() -> None:
    it = runner()
    it.play(ONE, "2")
    it.gone = {"ann-2-1"}
    lines = it.play(ONE, "2")
    assert lines[:2] == ["files ann-2-1", "cached 1"]
    assert (it.ran, it.saved) == (["2"], ["ann-2-1", "ann-2-2"])
    assert it.play(ONE, "2")[0] == "files ann-2-2"
    assert it.ran == []


def test_only_the_result_whose_file_is_gone_is_recomputed() -> None:
    it = runner()
    prompt = ONE | graph(n4=("Load", {"name": "y"}), n5=("Save", {"images": ["4", 0]}))
    it.play(prompt, "2", "5")
    it.gone = {"ann-5-2"}
    lines = it.play(prompt, "2", "5")
    assert it.ran == ["5"]
    assert "output 2 {images=[x]} cached" in lines


def test_each_user_has_their_own_files_checked() -> None:
    it = runner()
    it.play(ONE, "2", owner="ann")
    it.play(ONE, "2", owner="ben")
    assert it.play(ONE, "2", owner="ann")[0] == "files ann-2-1"
    assert it.play(ONE, "2", owner="ben")[0] == "files ben-2-2"


def test_a_file_inside_an_expansion_is_never_shown_to_another_user() -> None:
    """The expansion depends on a number only, which users share; it shows a file of the user who ran it."""

    def shows(call: str, count: int) -> Returned:
        ids = [f"{call}.{n}" for n in (1, 2)]
        built = {
            ids[0]: {"class_type": "Many", "inputs": {"count": count}},
            ids[1]: {"class_type": "Save", "inputs": {"images": [ids[0], 0]}},
        }
        return Returned(([ids[0], 0],), expand=built)

    growing = SAVING | {"Grow": TestNode(node("Grow", {"count": "INT"}, "IMAGE"), shows)}
    it = FakeRunner(growing, cache=LimitedCache())
    prompt = graph(n3=("Grow", {"count": 1}), n4=("Sink", {"value": ["3", 0]}))
    it.play(prompt, "4", owner="ann")
    lines = it.play(prompt, "4", owner="ben")
    assert (it.saved, lines[0]) == (["ann-3.0.0.2-1", "ben-3.0.0.2-2"], "cached")
    assert it.play(prompt, "4", owner="ann")[0] == "files ann-3.0.0.2-1"
    it.gone = {"ann-3.0.0.2-1"}
    it.play(prompt, "4", owner="ann")
    assert it.saved[2:] == ["ann-3.0.0.2-3"]


def test_a_cancel_during_a_check_of_files_ends_the_job() -> None:
    it = runner()
    it.play(ONE, "2")
    it.before = lambda said: do.CancelRequested() if isinstance(said, do.CheckFiles) else None
    assert it.play(ONE, "2")[-1] == "end cancelled"
