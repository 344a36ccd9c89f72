"""What packs in either form do with the graph, in a real engine: laziness, loops, lists, blockers, async nodes, checks
of inputs."""

import pytest
from tests.packs.engine import Engine, node

from safelight.core.event import CallBlocked, CallsCached, CallStarted
from safelight.core.job import JobState


def show(value: object, of: str = "Classic") -> dict[str, object]:
    return node(f"{of}Show", value=value)


@pytest.mark.parametrize(("weight", "mixed", "computed"), [(0.0, "10", "1"), (1.0, "20", "2"), (0.5, "15", "12")])
def test_lazy_mixing_computes_what_has_weight(engine: Engine, weight: float, mixed: str, computed: str) -> None:
    prompt = {
        "1": node("ClassicNumber" if "1" in computed else "ClassicNever", value=10),
        "2": node("ClassicNumber" if "2" in computed else "ClassicNever", value=20),
        "3": node("ClassicMix", a=["1", 0], b=["2", 0], weight=weight),
        "4": show(["3", 0]),
    }
    assert engine.complete(prompt).text == mixed


def test_a_lazy_switch_of_any_type(engine: Engine) -> None:
    prompt = {
        "1": node("ClassicNever", value=1),
        "2": node("ModernNumber", value=2),
        "3": node("ModernSwitch", on=True, no=["1", 0], yes=["2", 0]),
        "4": show(["3", 0], "Modern"),
    }
    assert engine.complete(prompt).text == "2"


def test_a_while_loop_copies_its_body_until_the_condition_fails(engine: Engine) -> None:
    prompt = {
        "1": node("ClassicWhile", value=1),
        "2": node("ClassicAdd", a=["1", 1], b=["1", 1]),
        "3": node("ClassicLess", a=["2", 0], b=100),
        "4": node("ClassicEnd", flow=["1", 0], condition=["3", 0], value=["2", 0]),
        "5": show(["4", 0]),
    }
    ran = engine.complete(prompt)
    assert ran.text == "128"
    assert {m.call.display_id for m in ran.of_kind(CallStarted)} == {"1", "2", "3", "4", "5"}
    again = engine.complete(prompt)
    assert again.text == "128"
    assert set(again.of_kind(CallsCached)[0].call_ids) == set(prompt)


def test_a_loop_by_recursion(engine: Engine) -> None:
    prompt = {"1": node("ModernCountdown", left=12, rounds=0), "2": show(["1", 0], "Modern")}
    assert engine.complete(prompt).text == "12"


@pytest.mark.parametrize("form", ["Classic", "Modern"])
def test_lists_fan_out_and_are_gathered(engine: Engine, form: str) -> None:
    end, values = ("value", "value") if form == "Classic" else ("end", "values")
    prompt = {
        "1": node(f"{form}Range", **{end: 4}),
        "2": node("ClassicAdd", a=["1", 0], b=10),
        "3": node(f"{form}Sum", **{values: ["2", 0]}),
        "4": show(["3", 0], form),
        "5": show(["2", 0], form),
    }
    ran = engine.complete(prompt)
    assert ran.shown["4"]["text"][0] == "46"
    assert [text for text in ran.shown["5"]["text"] if text != "5"] == ["10", "11", "12", "13"]


@pytest.mark.parametrize("word", ["", "even numbers stop here"])
def test_a_blocker_stops_its_element_with_or_without_a_word(engine: Engine, word: str) -> None:
    prompt = {
        "1": node("ClassicRange", value=4),
        "2": node("ClassicBlock", value=["1", 0], word=word),
        "3": show(["2", 0]),
    }
    ran = engine.complete(prompt)
    assert ran.shown["3"]["text"][::2] == ["1", "3"]
    assert [m.message for m in ran.of_kind(CallBlocked)] == ([word] if word else [])


def test_a_blocker_of_a_v3_node_says_its_word(engine: Engine) -> None:
    ran = engine.complete({"1": node("ModernBlock", value=7), "2": show(["1", 0], "Modern")})
    assert ran.shown.get("2") is None
    assert [m.message for m in ran.of_kind(CallBlocked)] == ["7 is not allowed"]


@pytest.mark.parametrize("form", ["Classic", "Modern"])
def test_async_nodes_overlap(engine: Engine, form: str) -> None:
    prompt = {
        "1": node(f"{form}Wait", value=1, seconds=0.2),
        "2": node(f"{form}Wait", value=2, seconds=0.2),
        "3": node("ClassicAdd", a=["1", 0], b=["2", 0]),
        "4": show(["3", 0]),
    }
    ran = engine.complete(prompt)
    assert ran.text == "3"
    spoken = [line.split()[0] for line in ran.lines if line.startswith(("begin", "end"))]
    assert spoken == ["begin", "begin", "end", "end"]


def test_what_changes_always_is_never_kept(engine: Engine) -> None:
    prompt = {"1": node("ClassicClock", value=1), "2": show(["1", 0])}
    for _ in range(2):
        assert "the clock ran" in engine.complete(prompt).lines


@pytest.mark.parametrize(("name", "word"), [("ClassicTens", "the clock ran"), ("ModernTens", "tens ran")])
def test_a_fingerprint_decides_what_is_kept(engine: Engine, name: str, word: str) -> None:
    """It does not stand in for the literals: those count as well."""
    prompts = [{"1": node(name, value=value), "2": show(["1", 0])} for value in (41, 41, 52)]
    assert [word in engine.complete(prompt).lines for prompt in prompts] == [True, False, True]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"1": node("ClassicJudge", value=150, mode="z"), "2": show(["1", 0])}, "150 in mode z is too much"),
        (
            {
                "1": node("PrimitiveString", value="x"),
                "2": node("ClassicTypes", value=["1", 0]),
                "3": show(["2", 0]),
            },
            "STRING will not do",
        ),
        ({"1": node("ModernJudge", mode="c"), "2": show(["1", 0])}, "c is no mode"),
    ],
)
def test_a_node_may_object_before_anything_runs(engine: Engine, prompt: dict[str, object], words: str) -> None:
    ran = engine.run(prompt)  # type: ignore[arg-type]
    assert ran.done.outcome is JobState.FAILED
    assert ran.done.error is not None
    assert words in ran.done.error.exception_message
    assert not ran.of_kind(CallStarted)


def test_what_a_node_judges_itself_is_not_judged_by_its_schema(engine: Engine) -> None:
    assert engine.complete({"1": node("ClassicJudge", value=50, mode="z"), "2": show(["1", 0])}).text == "50"
    assert engine.complete({"1": node("ModernJudge", mode="secret"), "2": show(["1", 0])}).text == "secret"


@pytest.mark.parametrize("where", ["judging", "lazy", "run"])
def test_errors_at_each_stage(engine: Engine, where: str) -> None:
    prompt = {
        "1": node("ClassicNumber", value=1),
        "2": node("ClassicFail", where=where, value=["1", 0]),
        "3": show(["2", 0]),
    }
    error = engine.run(prompt).done.error
    assert error is not None
    assert error.exception_message.endswith(f"failed in {where}\n")
    if where != "judging":
        assert error.exception_type == "ValueError"
        assert error.node_type == "ClassicFail"
        assert 'File "classic/values.py"' in error.traceback[-1]


def test_a_fingerprint_that_fails_costs_nothing_but_the_cache(engine: Engine) -> None:
    prompt = {
        "1": node("ClassicNumber", value=1),
        "2": node("ClassicFail", where="fingerprint", value=["1", 0]),
        "3": show(["2", 0]),
    }
    assert engine.complete(prompt).text == "1"


def test_the_error_of_a_v3_node(engine: Engine) -> None:
    error = engine.run({"1": node("ModernFail", value=3), "2": show(["1", 0])}).done.error
    assert error is not None
    assert (error.exception_type, error.exception_message) == ("LookupError", "3 was not found\n")


def test_dynamic_inputs_of_v3_nodes(engine: Engine) -> None:
    prompt = {
        "1": node("ModernGrow", **{"numbers.n0": 4, "numbers.n1": 5}),
        "2": node("ModernChoice", **{"how": "size", "how.width": 3}),
        "3": show(["1", 0]),
        "4": show(["2", 0]),
    }
    ran = engine.complete(prompt)
    assert ran.shown["3"]["text"][0] == "n0=4,n1=5"
    assert ran.shown["4"]["text"][0] == "[('how', 'size'), ('width', 3)]"
