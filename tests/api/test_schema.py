"""JSON schemas of an OpenAPI 3.0 document."""

import pytest

from safelight.api.schema import Schema

DOCUMENT = {
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "note": {"type": "string", "nullable": True},
                    "format": {"type": "integer", "format": "int64"},
                    "inner": {"$ref": "#/components/schemas/Thing"},
                },
            }
        }
    }
}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"name": "a"}, None),
        ({"name": "a", "note": None}, None),
        ({"name": "a", "format": 3}, None),
        ({}, "name"),
        ({"name": None}, "name"),
        ({"name": "a", "format": "x"}, "format"),
        ({"name": "a", "inner": {"name": 1}}, "inner/name"),
        ([], "object"),
    ],
)
def test_problem_names_the_place(value: object, place: str | None) -> None:
    problem = Schema({"$ref": "#/components/schemas/Thing"}, DOCUMENT).problem(value)
    assert (problem is None) if place is None else (problem is not None and place in problem)
