"""Numbers from formulas, from other values, and from aspect ratios."""

import pytest

from safelight.nodes.logic.expression import InvalidExpression
from safelight.nodes.logic.number import ComfyMathExpression, ComfyNumberConvert, ResolutionSelector


@pytest.mark.parametrize(
    ("expression", "outputs"),
    [("a + b", (3.5, 3, True)), ("b > a", (1.0, 1, True)), ("a - a", (0.0, 0, False)), ("-b", (-2.5, -2, True))],
)
def test_a_formula_gives_three_kinds(expression: str, outputs: tuple[float, int, bool]) -> None:
    result = ComfyMathExpression.execute(expression, {"a": 1, "b": 2.5}).values
    assert result == outputs
    assert [type(v) for v in result] == [float, int, bool]


@pytest.mark.parametrize("expression", ["values", "10 ** 400", "float(10 ** 300) * 10.0 ** 300", "(0 - 8) ** 0.5"])
def test_a_formula_must_give_a_finite_number(expression: str) -> None:
    with pytest.raises(InvalidExpression):
        ComfyMathExpression.execute(expression, {"a": 1})


@pytest.mark.parametrize(
    ("value", "outputs"),
    [
        (3, (3.0, 3)),
        (-2.7, (-2.7, -2)),
        (True, (1.0, 1)),
        (" 3.9 ", (3.9, 3)),
        ("9223372036854775807", (9.223372036854775807e18, 9223372036854775807)),
        ("1e3", (1000.0, 1000)),
    ],
)
def test_convert(value: int | float | str, outputs: tuple[float, int]) -> None:
    assert ComfyNumberConvert.execute(value).values == outputs


@pytest.mark.parametrize("value", ["", "three", "inf", "nan", "1e999", 10**400])
def test_convert_refuses(value: int | str) -> None:
    with pytest.raises(ValueError, match="number"):
        ComfyNumberConvert.execute(value)


@pytest.mark.parametrize(
    ("ratio", "megapixels", "multiple", "size"),
    [
        ("1:1 (Square)", 1.0, 8, (1024, 1024)),
        ("16:9 (Widescreen)", 0.4, 32, (864, 480)),
        ("9:16 (Portrait Widescreen)", 1.0, 8, (768, 1368)),
        ("21:9 (Ultrawide)", 2.0, 64, (2240, 960)),
    ],
)
def test_resolution(ratio: str, megapixels: float, multiple: int, size: tuple[int, int]) -> None:
    assert ResolutionSelector.execute(ratio, megapixels, multiple).values == size
