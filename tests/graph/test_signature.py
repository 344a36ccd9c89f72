"""The cache key of a call: what changes it, what does not, and which calls have none."""

import math
from typing import Any

import pytest
from tests.graph.catalogue import node
from tests.graph.fake_runner import FakeRunner, TestNode, graph
from tests.graph.nodes import NODES

from safelight.core.ids import UserId
from safelight.core.node import NodeSchema
from safelight.graph.cache import LimitedCache
from safelight.graph.signature import Signature, Signer, UnsignableError, encode

FILES = {"a.png": "digest-1", "b.png": "digest-2"}
LOAD = node("Load", {"name": "STRING"}, "IMAGE")


def sign(schema: NodeSchema = LOAD, *, owner: str = "ann", **changes: Any) -> Signature | None:
    arguments: dict[str, Any] = {"call_id": "1", "literals": {"name": "x"}, "links": {}} | changes
    return Signer(owner=UserId(owner), file_digest=FILES.get).sign(schema, **arguments)


SOURCE = sign(literals={"name": "source"})


@pytest.mark.parametrize(
    "changes",
    [
        {"literals": {"name": "y"}},
        {"literals": {"name": 1}},
        {"literals": {"name": None}},
        {"literals": {}},
        {"literals": {"name": "x", "more": "x"}},
        {"links": {"name": (SOURCE, 0)}},
        {"links": {"name": (SOURCE, 1)}},
        {"schema": node("Other", {"name": "STRING"}, "IMAGE")},
        {"schema": node("Load", {"name": "STRING"}, "IMAGE[]")},
        {"schema": node("Load", {"name": "STRING"}, "IMAGE", output=True)},
    ],
)
def test_what_a_call_is_changes_its_signature(changes: dict[str, Any]) -> None:
    assert sign(**changes) not in (sign(), None)


@pytest.mark.parametrize("literals", [{"name": 1}, {"name": 1.0}, {"name": True}, {"name": "1"}, {"name": b"1"}])
def test_values_of_different_types_differ(literals: dict[str, Any]) -> None:
    others = [1, 1.0, True, "1", b"1"]
    same = [sign(literals={"name": other}) for other in others].count(sign(literals=literals))
    assert same == 1


def test_neither_the_id_nor_the_user_matters() -> None:
    assert sign() == sign(call_id="2") == sign(owner="ben")


def test_results_that_depend_on_a_users_text_or_files_are_not_shared() -> None:
    assert sign(is_private=True) == sign(is_private=True, call_id="2")
    assert sign(is_private=True) not in (sign(), sign(is_private=True, owner="ben"))
    for value in ("a.png", ["a.png"], {"k": "a.png"}):
        assert sign(literals={"name": value}) != sign(literals={"name": value}, owner="ben")
    mine, theirs = sign(is_private=True), sign(is_private=True, owner="ben")
    assert sign(literals={}, links={"a": (mine, 0)}) != sign(literals={}, links={"a": (theirs, 0)}, owner="ben")


def test_an_output_belongs_to_its_owner() -> None:
    save = node("Save", {"images": "IMAGE"}, output=True)
    assert sign(save) == sign(save, call_id="2")
    assert sign(save) != sign(save, owner="ben")


@pytest.mark.parametrize(
    "hidden", ["PROMPT", "EXTRA_PNGINFO", "DYNPROMPT", "AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG"]
)
def test_results_of_nodes_that_read_private_values_are_not_shared(hidden: str) -> None:
    schema = node("Load", {"name": "STRING"}, "IMAGE", hidden=hidden)
    assert sign(schema) != sign(schema, owner="ben")


def test_a_node_that_reads_its_id_or_is_not_idempotent_is_signed_with_the_id() -> None:
    for schema in (node("A", {}, "INT", hidden="UNIQUE_ID"), node("B", {}, "INT", not_idempotent=True)):
        assert sign(schema, literals={}) != sign(schema, literals={}, call_id="2")


def test_a_file_is_signed_by_its_content() -> None:
    before = sign(literals={"name": "a.png"})
    changed = Signer(owner=UserId("ann"), file_digest={"a.png": "digest-3"}.get)
    assert changed.sign(LOAD, call_id="1", literals={"name": "a.png"}, links={}) != before
    assert sign(literals={"name": ["a.png"]}) != changed.sign(LOAD, call_id="1", literals={"name": ["a.png"]}, links={})


def test_a_value_that_equals_nothing_has_no_signature_and_neither_have_its_dependents() -> None:
    assert sign(literals={"name": math.nan}) is None
    assert sign(literals={"name": object()}) is None
    assert sign(links={"a": (None, 0)}) is None
    marked = node("Marked", {}, "INT", has_fingerprint=True)
    assert sign(marked, literals={}, fingerprint=[math.nan]) is None
    assert sign(marked, literals={}, fingerprint=[1.5]) is not None


def test_a_fingerprint_changes_the_signature_of_a_node_that_has_one() -> None:
    marked = node("Marked", {}, "INT", has_fingerprint=True)
    assert sign(marked, literals={}, fingerprint="a") != sign(marked, literals={}, fingerprint="b")


def test_a_live_value_is_signed_by_its_position_if_that_is_known() -> None:
    assert sign(literals={"name": object()}, origin=b"p1") == sign(literals={"name": object()}, origin=b"p1")
    assert sign(literals={"name": object()}, origin=b"p1") != sign(literals={"name": object()}, origin=b"p2")


def test_plain_data_is_encoded_without_ambiguity() -> None:
    values: list[Any] = [
        None, True, False, 0, 1, -1, 1.0, "", "1", "None", b"", b"1", [], [[]], [1, 2], [12], {}, {"a": 1}, {"a": [1]},
        {1: "a"}, {"1": "a"}, set(), {1}, {"a"}, ["a", "b"], ["ab"], 10**40, math.inf, "\ud800",
    ]  # fmt: skip
    written = [b"".join(encode(value)) for value in values]
    assert len(set(written)) == len(values)


def test_order_matters_in_lists_and_not_in_mappings_and_sets() -> None:
    assert b"".join(encode([1, 2])) != b"".join(encode([2, 1]))
    assert b"".join(encode({"a": 1, "b": 2})) == b"".join(encode({"b": 2, "a": 1}))
    assert b"".join(encode({1, 2, 3})) == b"".join(encode({3, 2, 1}))
    assert b"".join(encode((1, 2))) == b"".join(encode([1, 2]))


def test_too_deep_nesting_has_no_encoding() -> None:
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(UnsignableError):
        list(encode(deep))


def marked(value: Any) -> dict[str, TestNode]:
    schema = node("Marked", {"name": "STRING", "image?": "IMAGE"}, "IMAGE", has_fingerprint=True)
    return NODES | {
        "Marked": TestNode(schema, lambda name, **rest: (name,), fingerprint=lambda name, image=None: value())
    }


PROMPT = graph(
    n1=("Load", {"name": "a.png"}),
    n2=("Marked", {"name": "n", "image": ["1", 0]}),
    n3=("Save", {"images": ["2", 0]}),
)


def test_a_fingerprint_is_requested_first_and_sees_literals_only() -> None:
    lines = FakeRunner(marked(lambda: 1)).play(PROMPT, "3")
    assert lines[:2] == ["fingerprint 2 (image=None name=n)", "cached"]


@pytest.mark.parametrize(
    ("values", "ran"),
    [([1, 1], []), ([1, 2], ["2", "3"]), ([math.nan, math.nan], ["2", "3"]), ([object(), object()], ["2", "3"])],
)
def test_a_call_runs_again_when_its_fingerprint_changed(values: list[Any], ran: list[str]) -> None:
    rest = iter(values)
    runner = FakeRunner(marked(lambda: next(rest)), cache=LimitedCache())
    runner.play(PROMPT, "3")
    runner.play(PROMPT, "3")
    assert runner.ran == ran


def test_a_changed_file_reruns_what_loads_it() -> None:
    runner = FakeRunner(marked(lambda: 1), cache=LimitedCache(), files={"a.png": "one"})
    runner.play(PROMPT, "3")
    runner.files["a.png"] = "two"
    runner.play(PROMPT, "3")
    assert runner.ran == ["1", "2", "3"]


def test_users_share_models_but_neither_texts_nor_outputs() -> None:
    model = TestNode(node("Model", {"file": ("COMBO", {"options": ["m"]}), "seed": "INT"}, "MODEL"), lambda **i: ("m",))
    draw = TestNode(node("Draw", {"model": "MODEL", "text": "STRING"}, "IMAGE"), lambda model, text: (text,))
    runner = FakeRunner(NODES | {"Model": model, "Draw": draw}, cache=LimitedCache())
    prompt = graph(
        n1=("Model", {"file": "m", "seed": 1}),
        n2=("Draw", {"model": ["1", 0], "text": "a secret"}),
        n3=("Invert", {"image": ["2", 0]}),
        n4=("Save", {"images": ["3", 0]}),
        n5=("Sink", {"value": ["1", 0]}),
    )
    runner.play(prompt, "4", "5", owner="ann")
    lines = runner.play(prompt, "4", "5", owner="ben")
    assert lines[0] == "cached 1"
    assert sorted(runner.ran) == ["2", "3", "4", "5"]
    runner.play(prompt, "4", "5", owner="ann")
    assert runner.ran == []


def test_half_a_surrogate_pair_in_names_and_ids_can_be_signed() -> None:
    odd = "\ud800"
    schema = node("A", {}, "INT", hidden="UNIQUE_ID")
    assert sign(schema, call_id=odd, literals={odd: 1}, links={odd: (SOURCE, 0)}) is not None
