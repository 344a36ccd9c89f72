"""Formulas: those of the published templates, and those that must be refused."""

import time

import pytest

from safelight.nodes.logic.expression import MAX_LENGTH, InvalidExpression, evaluate


@pytest.mark.parametrize(
    ("expression", "variables", "value"),
    [
        ("a", {"a": 3}, 3),
        ("a/2", {"a": 3}, 1.5),
        ("a * b + 1", {"a": 5, "b": 24}, 121),
        ("(a // 32) * 32", {"a": 1000}, 992),
        ("max(5, round(a * 24)) + (5 - (max(5, round(a * 24)) % 17)) % 17", {"a": 5}, 124),
        ("a & ~1", {"a": 7}, 6),
        ("a & -8", {"a": 1021}, 1016),
        ("a > 2048", {"a": 4096}, True),
        ("max(4, (int(a) // 16) * 16)", {"a": 100.7}, 96),
        ("floor (a * b + 1)", {"a": 1.5, "b": 3}, 5),
        ("round (a * 24)", {"a": 0.5}, 12),
        ("a % b if b > 0 else 0", {"a": 7, "b": 4}, 3),
        ("a % b if b > 0 else 0", {"a": 7, "b": 0}, 0),
        ("ceil(1.5 * log2(max(a, b))) + 2", {"a": 512, "b": 1024}, 17),
        ("(a % 4 == 1) and ((b - 1) % 4 == 0)", {"a": 81, "b": 80}, False),
        ("min(max(int(a if a >= 0 else b + a), 0), b - 1)", {"a": -2, "b": 10}, 8),
        ("sum(values) / 2", {"a": 1, "b": 2, "values": [1, 2]}, 1.5),
        ("values[1] - min(values)", {"values": [1, 5]}, 4),
        ("1 < a <= 3 != 4", {"a": 3}, True),
        ("not a or b", {"a": True, "b": 7}, 7),
        ("pow(2, 10) ^ 1 << 2", {}, 1028),
        (" 2\n", {}, 2),
        ("round(7, -10**9)", {}, 0),
        ("round(-7, -10**9)", {}, 0),
        ("round(7.5, -10**9)", {}, 0.0),
        ("round(1234, -2)", {}, 1200),
        ("round(2.5, 0)", {}, 2.0),
        ("round(2.567, 2)", {}, 2.57),
        ("1 >> 10**9", {}, 0),
    ],
)
def test_value(expression: str, variables: dict[str, object], value: object) -> None:
    result = evaluate(expression, variables)  # type: ignore[arg-type]
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("  ", "is empty"),
        ("a +", "invalid expression"),
        ("c + 1", "'c' is not connected; available are a, values"),
        ("a.real", "is not allowed"),
        ("a.__class__", "is not allowed"),
        ("__import__('os')", "unknown function '__import__'"),
        ("(lambda: 1)()", "is not allowed"),
        ("[x for x in values]", "is not allowed"),
        ("f'{a}'", "is not allowed"),
        ("'a' * 9", "is not allowed"),
        ("values * 1000000", "not a number"),
        ("values[0.5]", "indices must be"),
        ("values[9]", "out of range"),
        ("sqrt(a=1)", "is not allowed"),
        ("1 / 0", "division by zero"),
        ("9 ** 9 ** 9", "too large"),
        ("1 << 10 ** 9", "too large"),
        ("0 << 10 ** 9", "too large"),
        ("pow(7, 10 ** 9)", "too large"),
        ("round(9 ** 30000, 1)", "too large"),
        ("%".join(["((1 << 9999) | 1)"] * 400) + "% (9 ** 9999)", "too large"),
        ("* ".join(["9**30000"] * 9), "too large"),
        ("sqrt(-1)", "domain|nonnegative"),
        ("1 +" * 3000 + "1", "recursion"),
        ("1" * 10_001, "longer than"),
    ],
)
def test_refused(expression: str, message: str) -> None:
    with pytest.raises(InvalidExpression, match=message):
        evaluate(expression, {"a": 1, "values": [1]})


def test_no_formula_takes_long() -> None:
    """The longest formula that is allowed, of the most expensive operations."""
    formula = f"sum([{','.join(['(1<<9998)%(1<<5000|1)'] * 430)}]) % 7"
    assert len(formula) <= MAX_LENGTH
    begun = time.monotonic()
    evaluate(formula, {})
    assert time.monotonic() - begun < 5
