"""Random graphs with lists, laziness, expansion and overlapping calls, against a plain recursive evaluation."""

import hashlib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.graph.catalogue import node
from tests.graph.fake_runner import FakeRunner, TestNode
from tests.graph.nodes import LAZY

from safelight.core.event import CallStarted
from safelight.core.job import JobState
from safelight.graph import instructions as do
from safelight.graph.cache import LimitedCache, NoCache
from safelight.graph.instructions import Event, Instruction, Returned

Prompt = dict[str, Any]


def digest(*parts: Any) -> str:
    return hashlib.md5(repr(parts).encode()).hexdigest()[:8]


def listed(name: list[str], a: list[Any], b: list[Any], count: list[int]) -> tuple[list[str]]:
    return ([digest("list", name, a, b, n) for n in range(count[0])],)


def grow(call: str, name: str, a: Any, b: Any, depth: int) -> Returned:
    """Two calls inside, or one and another expansion; one of them receives ``b`` as a live value."""
    last = "Op" if depth == 0 else "Grow"
    inputs = {"name": f"{name}/2", "a": [f"{call}.1", 0], "b": b} | ({"depth": depth - 1} if depth else {})
    return Returned(
        ([f"{call}.2", 0],),
        expand={
            f"{call}.1": {"class_type": "Op", "inputs": {"name": f"{name}/1", "a": a, "b": "-"}},
            f"{call}.2": {"class_type": last, "inputs": inputs},
            f"{call}.3": {"class_type": "Op", "inputs": {"name": "never", "a": "-", "b": "-"}},
        },
    )


def grown(name: str, a: Any, b: Any, depth: int) -> str:
    """Return the value of an expansion."""
    first = digest("op", f"{name}/1", a, "-")
    if depth == 0:
        return digest("op", f"{name}/2", first, b)
    return grown(f"{name}/2", first, b, depth - 1)


def choose(name: str, a: Any, b: Any, c: Any, which: str) -> tuple[str]:
    return (digest("lazy", name, {"a": a, "b": b}.get(which), c),)


def op(name: str, a: Any, b: Any) -> tuple[str]:
    return (digest("op", name, a, b),)


TWO = {"name": "STRING", "a": "*", "b": "*"}
NODES = {
    "Op": TestNode(node("Op", TWO, "*"), op),
    "Wait": TestNode(node("Wait", TWO, "*"), op, waits=True),
    "List": TestNode(node("List", TWO | {"count": "INT"}, "*[]", lists=True), listed),
    "Grow": TestNode(node("Grow", TWO | {"depth": "INT"}, "*"), grow),
    "Lazy": TestNode(
        node("Lazy", {"name": "STRING", "a": ("*", LAZY[1]), "b": ("*", LAZY[1]), "c": "*", "which": "STRING"}, "*"),
        choose,
        lazy=lambda which, a, b, **rest: [which] if which in ("a", "b") else [],
    ),
    "Out": TestNode(
        node("Out", {"name": "STRING", "a": "*"}, output=True), lambda name, a: Returned((), {"seen": [a]})
    ),
}


@st.composite
def prompts(draw: st.DrawFn) -> tuple[Prompt, list[str]]:
    """A graph of 2 to 60 calls, and its outputs. Every call has a unique name, so that no two are equal."""
    size = draw(st.integers(1, 55))
    prompt: Prompt = {}

    def value() -> Any:
        return [draw(st.sampled_from(list(prompt))), 0] if prompt and draw(st.integers(0, 4)) else "-"

    for n in range(size):
        kind = draw(st.sampled_from(["Op", "Op", "Wait", "List", "Grow", "Lazy", "Lazy"]))
        inputs: dict[str, Any] = {"name": f"n{n}", "a": value(), "b": value()}
        if kind == "List":
            inputs["count"] = draw(st.integers(0, 3))
        elif kind == "Grow":
            inputs["depth"] = draw(st.integers(0, 2))
        elif kind == "Lazy":
            inputs |= {"c": value(), "which": draw(st.sampled_from(["a", "b", "none"]))}
        prompt[str(n)] = {"class_type": kind, "inputs": inputs}
    outputs = []
    for n in range(draw(st.integers(1, 5))):
        outputs.append(f"out{n}")
        shown = draw(st.sampled_from([*map(str, range(size))]))
        prompt[f"out{n}"] = {"class_type": "Out", "inputs": {"name": f"out{n}", "a": [shown, 0]}}
    return prompt, outputs


class Reference:
    """Evaluates by recursion, and records what was needed."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.needed: dict[str, list[Any]] = {}

    def call(self, call_id: str) -> list[Any]:
        if call_id not in self.needed:
            kind, inputs = self.prompt[call_id]["class_type"], self.prompt[call_id]["inputs"]
            self.needed[call_id] = self._evaluate(kind, inputs)
        return self.needed[call_id]

    def _values(self, value: Any) -> list[Any]:
        return self.call(value[0]) if isinstance(value, list) else [value]

    def _evaluate(self, kind: str, inputs: dict[str, Any]) -> list[Any]:
        if kind == "Lazy":
            return self._lazy(inputs)
        lists = {name: self._values(value) for name, value in inputs.items()}
        if kind == "List":
            return listed(**lists)[0]
        function: Callable[..., Any] = {"Grow": grown, "Out": lambda name, a: a}.get(kind, lambda **i: op(**i)[0])
        return [function(**arguments) for arguments in mapped(lists)]

    def _lazy(self, inputs: dict[str, Any]) -> list[Any]:
        firm = {"c": self._values(inputs["c"])}
        literals = {name: [inputs[name]] for name in "ab" if not isinstance(inputs[name], list)}
        wanted = [name for name in "ab" if name not in literals and name == inputs["which"]]
        if not mapped(firm | literals):
            wanted = []
        lazy = {name: self._values(inputs[name]) if name in wanted else [None] for name in "ab" if name not in literals}
        plain = {"name": [inputs["name"]], "which": [inputs["which"]]}
        return [choose(**arguments)[0] for arguments in mapped(firm | literals | lazy | plain)]


def mapped(lists: dict[str, list[Any]]) -> list[dict[str, Any]]:
    if not all(lists.values()):
        return []
    count = max(map(len, lists.values()))
    return [{name: (values + values[-1:] * count)[i] for name, values in lists.items()} for i in range(count)]


def outer(call_ids: list[str]) -> list[str]:
    return [call_id for call_id in call_ids if "." not in call_id]


def resting_on(prompt: Prompt, changed: str) -> set[str]:
    found = {changed}
    for call_id, entry in prompt.items():  # calls come after their sources
        if any(isinstance(v, list) and v[0] in found for v in entry["inputs"].values()):
            found.add(call_id)
    return found


def executed(runner: FakeRunner) -> list[str]:
    assert runner.finish is not None
    return list(runner.finish.executed)


@settings(max_examples=100, deadline=None, database=None)
@given(prompts(), st.booleans(), st.data())
def test_every_needed_call_runs_once_after_its_sources(
    drawn: tuple[Prompt, list[str]], is_cached: bool, data: st.DataObject
) -> None:
    prompt, outputs = drawn
    runner = FakeRunner(NODES, cache=LimitedCache() if is_cached else NoCache())
    runner.choose = lambda count: data.draw(st.integers(0, count - 1)) if count > 1 else 0
    lines = runner.play(prompt, *outputs)
    reference = Reference(prompt)
    # The values are right only if every source was done before.
    for output in outputs:
        seen = reference.call(output)
        assert not seen or f"output {output} {{seen=[{','.join(map(str, seen))}]}}" in "\n".join(lines)
    assert sorted(outer(executed(runner))) == sorted(reference.needed)
    assert len(set(executed(runner))) == len(executed(runner))
    assert len(set(runner.ran)) == len(runner.ran)


@settings(max_examples=60, deadline=None, database=None)
@given(prompts(), st.data())
def test_a_rerun_runs_what_changed_and_its_dependents(drawn: tuple[Prompt, list[str]], data: st.DataObject) -> None:
    prompt, outputs = drawn
    runner = FakeRunner(NODES, cache=LimitedCache())
    runner.play(prompt, *outputs)
    runner.play(prompt, *outputs)
    assert executed(runner) == []
    changed = data.draw(st.sampled_from([call_id for call_id in prompt if "name" in prompt[call_id]["inputs"]]))
    inputs = prompt[changed]["inputs"] | {"name": "another"}
    prompt = prompt | {changed: prompt[changed] | {"inputs": inputs}}
    runner.play(prompt, *outputs)
    reference = Reference(prompt)
    for output in outputs:
        reference.call(output)
    assert set(outer(executed(runner))) == set(reference.needed) & resting_on(prompt, changed)


@settings(max_examples=60, deadline=None, database=None)
@given(prompts(), st.integers(0, 300))
def test_nothing_starts_after_a_cancel(drawn: tuple[Prompt, list[str]], moment: int) -> None:
    prompt, outputs = drawn
    rest = moment

    def cancel(instruction: Instruction) -> Event | None:
        nonlocal rest
        rest -= 1
        return do.CancelRequested() if rest == -1 else None

    runner = FakeRunner(NODES, before=cancel)
    runner.play(prompt, *outputs)
    assert not [said for said in runner.after_cancel if isinstance(said, do.RunCall | do.CheckLazy)]
    assert CallStarted not in [type(said.event) for said in runner.after_cancel if isinstance(said, do.Report)]
    assert runner.finish is not None
    assert runner.finish.outcome in (JobState.CANCELLED, JobState.COMPLETED)
    assert (runner.finish.outcome is JobState.COMPLETED) == (not runner.after_cancel)
