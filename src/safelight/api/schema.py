"""JSON schemas of the contract, compiled when they are first used, so that they do not slow down the start."""

from collections.abc import Mapping
from typing import Any, Protocol

import jsonschema_rs

DRAFT_2020_12 = "https://json-schema.org/draft/2020-12/schema"
_IGNORED = ("nullable", "format", "example", "readOnly")


class _Validator(Protocol):
    def validate(self, instance: Any) -> None: ...


class Schema:
    """Mutable: compiled once, on first use. ``spec`` may refer to the document's components."""

    __slots__ = ("_document", "_spec", "_validator")

    def __init__(self, spec: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        self._spec = spec
        self._document = document
        self._validator: _Validator | None = None

    @property
    def properties(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._spec.get("properties", {})
        return found

    def problem(self, value: Any) -> str | None:
        """A message that says what is wrong with ``value``, and where; ``None`` if it is valid."""
        if self._validator is None:
            components = self._document.get("components", {})
            schema = _to_json_schema(self._spec) | {"components": {"schemas": _named(components.get("schemas", {}))}}
            self._validator = jsonschema_rs.Draft202012Validator(schema | {"$schema": DRAFT_2020_12})
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            place = "/".join(str(p) for p in error.instance_path)
            return f"{place}: {error.message}" if place else str(error.message)
        return None


def _to_json_schema(spec: Any) -> Any:
    """Convert an OpenAPI 3.0 schema to JSON Schema: ``nullable`` becomes a type, annotations are dropped."""
    if isinstance(spec, list):
        return [_to_json_schema(s) for s in spec]
    if not isinstance(spec, dict):
        return spec
    schema = {k: _named(v) if k == "properties" else _to_json_schema(v) for k, v in spec.items() if k not in _IGNORED}
    if spec.get("nullable") is True and isinstance(spec.get("type"), str):
        schema["type"] = [spec["type"], "null"]
    elif spec.get("nullable") is True and "allOf" in schema:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return schema


def _named(schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _to_json_schema(schema) for name, schema in schemas.items()}
