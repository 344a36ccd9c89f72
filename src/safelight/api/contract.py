"""The compiled contracts: what each operation accepts, who may call it, and the form of its errors.

Reads an OpenAPI 3.0 document into :class:`Operation` values. It does not know handlers or HTTP connections. There are
two documents: the API of ComfyUI and Comfy Cloud, and Comfy API v2.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from importlib.resources import files
from typing import Any

import msgspec

from safelight.api.schema import Schema

METHODS = ("get", "head", "post", "put", "patch", "delete")


class Shape(Enum):
    """The form of an error body."""

    ERROR = "ErrorResponse"  # {"code", "message"}
    MESSAGE = "BindingErrorResponse"  # {"message"}
    PROMPT = "PromptErrorResponse"  # ComfyUI's {"error": {...}, "node_errors": {}}
    ENVELOPE = "ErrorEnvelope"  # of Comfy API v2: {"error": {"code", "message", "details"}}
    TEXT = "text/plain"


_SHAPES = {shape.value: shape for shape in Shape}


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    location: str = "query"
    type: str = "string"
    required: bool = False
    default: Any = None
    enum: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    format: str = ""
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Body:
    """``json``: the schema of a JSON body, if the operation accepts one."""

    required: bool
    content_types: tuple[str, ...]
    json: Schema | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. ``security``: alternatives, each a set of schemes that are required together; ``()`` is open."""

    id: str
    method: str
    path: str
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    security: tuple[frozenset[str], ...] = ()
    shapes: Mapping[int, Shape] = field(default_factory=dict)
    default_shape: Shape = Shape.ERROR
    responses: Mapping[int, Schema | None] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether a caller without credentials may use it."""
        return not self.security or frozenset() in self.security

    @property
    def schemes(self) -> frozenset[str]:
        return frozenset().union(*self.security)

    @property
    def invalid_status(self) -> int:
        """The status for an invalid request: 422 where the operation declares 422 and not 400."""
        return 422 if 422 in self.shapes and 400 not in self.shapes else 400

    @property
    def too_large_status(self) -> int:
        return 413 if 413 in self.shapes else self.invalid_status

    def shape(self, status: int) -> Shape:
        return self.shapes.get(status, self.default_shape)


@dataclass(frozen=True, slots=True)
class Contract:
    document: Mapping[str, Any]
    operations: Mapping[str, Operation]


def load() -> Contract:
    """The contract of ComfyUI's and Comfy Cloud's API."""
    return compile_contract(_read("contract.json"))


def load_v2() -> Contract:
    """The contract of Comfy API v2.

    Its security has the alternative of no credential, for servers without accounts. Here a server without accounts has
    one user, who is every caller (``api/auth.py``), so that a caller without a credential is refused elsewhere.
    """
    return compile_contract(_read("contract_v2.json"), shape=Shape.ENVELOPE, is_open=False)


def compile_contract(document: Mapping[str, Any], *, shape: Shape = Shape.ERROR, is_open: bool = True) -> Contract:
    """``shape``: of errors whose form the document does not name. ``is_open``: whether the document's alternatives
    without a credential count."""
    operations = {operation.id: operation for operation in _operations(document, shape, is_open=is_open)}
    return Contract(document, operations)


def _read(name: str) -> Mapping[str, Any]:
    document: Mapping[str, Any] = msgspec.json.decode(files("safelight.api").joinpath(name).read_bytes())
    return document


def _operations(document: Mapping[str, Any], shape: Shape, *, is_open: bool) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                found = _operation(document, method.upper(), path, item[method], item.get("parameters", ()), shape)
                yield found if is_open else replace(found, security=tuple(s for s in found.security if s))


def _operation(
    document: Mapping[str, Any],
    method: str,
    path: str,
    spec: Mapping[str, Any],
    shared: Sequence[Mapping[str, Any]],
    shape: Shape,
) -> Operation:
    shapes: dict[int, Shape] = {}
    responses: dict[int, Schema | None] = {}
    for code, declared in spec["responses"].items():
        content = _resolved(document, declared).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        responses[int(code)] = Schema(schema, document) if schema is not None else None
        if int(code) >= 400:
            shapes[int(code)] = _shape(content, shape)
    return Operation(
        id=spec["operationId"],
        method=method,
        path=path,
        parameters=tuple(_parameter(_resolved(document, p)) for p in (*shared, *spec.get("parameters", ()))),
        body=_body(document, spec.get("requestBody")),
        security=tuple(frozenset(s) for s in spec.get("security", document.get("security", ()))),
        shapes=shapes,
        default_shape=shapes.get(500, shapes.get(503, shape)),
        responses=responses,
    )


def _resolved(document: Mapping[str, Any], spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameter or response itself, where the document refers to one of its components."""
    while "$ref" in spec:
        _, components, kind, name = spec["$ref"].split("/")
        spec = document[components][kind][name]
    return spec


def _shape(content: Mapping[str, Any], default: Shape) -> Shape:
    if "text/plain" in content:
        return Shape.TEXT
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    name = reference.rpartition("/")[2]
    return _SHAPES.get(name, default)


def _parameter(spec: Mapping[str, Any]) -> Parameter:
    schema = spec["schema"]
    return Parameter(
        name=spec["name"],
        location=spec["in"],
        type=schema["type"],
        required=spec.get("required", False),
        default=schema.get("default"),
        enum=tuple(schema.get("enum", ())),
        minimum=schema.get("minimum"),
        maximum=schema.get("maximum"),
        format=schema.get("format", ""),
        pattern=schema.get("pattern", ""),
    )


def _body(document: Mapping[str, Any], spec: Mapping[str, Any] | None) -> Body | None:
    if spec is None:
        return None
    content = spec["content"]
    schema = content.get("application/json", {}).get("schema")
    return Body(
        required=spec.get("required", False),
        content_types=tuple(content),
        json=Schema(schema, document) if schema is not None else None,
    )
