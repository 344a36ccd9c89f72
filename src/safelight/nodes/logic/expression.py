"""Formulas that users write: a small subset of Python's expressions, evaluated over numbers only.

The text is parsed with ``ast`` and never run as code. What is not listed here (attributes, other functions, strings,
loops) is refused, and so are integers that would exceed :data:`MAX_BITS`.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Number = int | float

MAX_BITS = 10_000
"""Of an intermediate value; the result must itself fit into a ``float`` of 1,024 bits."""
MAX_LENGTH = 10_000


class InvalidExpression(ValueError):
    """The formula cannot be evaluated; the message is for its author."""


def evaluate(expression: str, variables: Mapping[str, Number | Sequence[Number]]) -> Any:
    """Evaluate a formula. Raises :class:`InvalidExpression`."""
    if not expression.strip():
        raise InvalidExpression("the expression is empty")
    if len(expression) > MAX_LENGTH:
        raise InvalidExpression(f"the expression is longer than {MAX_LENGTH} characters")
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body, variables)
    except InvalidExpression:
        raise
    except SyntaxError as error:
        raise InvalidExpression(f"invalid expression {expression!r}: {error.msg}") from error
    except (ArithmeticError, IndexError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidExpression(f"{expression!r}: {error}") from error


def _power(base: Number, exponent: Number) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > MAX_BITS:
        raise InvalidExpression("the result of a power is too large")
    return base**exponent


def _shifted(value: int, places: int) -> int:
    if value.bit_length() + places > MAX_BITS:
        raise InvalidExpression("the result of a shift is too large")
    return value << places


def _rounded(value: Number, *digits: int) -> Any:
    """Like ``round``, but returns 0 for huge negative ``digits``, for which Python would compute ``10 ** -digits``
    first."""
    if isinstance(value, int) and len(digits) == 1 and isinstance(digits[0], int) and digits[0] < -MAX_BITS:
        return 0
    return round(value, *digits)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": sum,
    "min": min,
    "max": max,
    "abs": abs,
    "round": _rounded,
    "pow": _power,
    "sqrt": math.sqrt,
    "ceil": math.ceil,
    "floor": math.floor,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "int": int,
    "float": float,
}

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: _shifted,
    ast.RShift: operator.rshift,
}

UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _value(node: ast.expr, variables: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name):
            if name not in variables:
                raise InvalidExpression(f"{name!r} is not connected; available are {', '.join(variables)}")
            return variables[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return BINARY[type(op)](_number(left, variables), _number(right, variables))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return UNARY[type(op)](_number(operand, variables))
        case ast.BoolOp(op=op, values=parts):
            return _first(parts, variables, until=isinstance(op, ast.Or))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in COMPARISONS for op in ops):
            return _in_order([left, *others], ops, variables)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, variables) else orelse, variables)
        case ast.Subscript(value=ast.Name(id="values"), slice=index):
            return variables["values"][_number(index, variables)]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_number(item, variables) for item in items]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            if name not in FUNCTIONS:
                raise InvalidExpression(f"unknown function {name!r}: use one of {', '.join(FUNCTIONS)}")
            return FUNCTIONS[name](*[_value(arg, variables) for arg in args])
    raise InvalidExpression(f"{ast.unparse(node)!r} is not allowed in an expression")


def _number(node: ast.expr, variables: Mapping[str, Any]) -> Number:
    """Evaluate to a number. Refuses lists, which repeat and join under ``*`` and ``+``, and too large integers."""
    value = _value(node, variables)
    if not isinstance(value, int | float):
        raise InvalidExpression(f"{ast.unparse(node)!r} is not a number")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise InvalidExpression(f"{ast.unparse(node)!r} is too large")
    return value


def _first(parts: Sequence[ast.expr], variables: Mapping[str, Any], *, until: bool) -> Any:
    """Evaluate ``and`` and ``or``: the first part whose truth is ``until``, else the last."""
    for part in parts[:-1]:
        value = _value(part, variables)
        if bool(value) is until:
            return value
    return _value(parts[-1], variables)


def _in_order(parts: Sequence[ast.expr], ops: Sequence[ast.cmpop], variables: Mapping[str, Any]) -> bool:
    values = [_number(part, variables) for part in parts]
    return all(COMPARISONS[type(op)](one, other) for one, op, other in zip(values[:-1], ops, values[1:], strict=True))
