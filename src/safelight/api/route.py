"""A route that the contract does not have: one of ComfyUI's spellings, or one of Safelight's own."""

from dataclasses import dataclass

from safelight.api.contract import Operation, Parameter, Shape
from safelight.api.handler import AsyncFunction, Handler

_STATUSES = (400, 403, 404, 409, 413, 429)
_V2_STATUSES = (402, 403, 404, 409, 413, 422, 429)
"""Of routes beside Comfy API v2, which answers invalid requests with 422."""


@dataclass(frozen=True, slots=True)
class Route:
    """``also_api``: the route exists under ``/api`` as well. ``is_open``: it needs no credentials, as its neighbours in
    the contract need none. ``shape``: of its errors."""

    method: str
    path: str
    handler: Handler | AsyncFunction
    parameters: tuple[Parameter, ...] = ()
    also_api: bool = True
    is_open: bool = False
    shape: Shape = Shape.ERROR

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path, f"/api{self.path}") if self.also_api else (self.path,)

    def operation(self, path: str, security: tuple[frozenset[str], ...]) -> Operation:
        return Operation(
            id=f"{self.method} {path}",
            method=self.method,
            path=path,
            parameters=self.parameters,
            security=() if self.is_open else security,
            shapes=dict.fromkeys(_V2_STATUSES if self.shape is Shape.ENVELOPE else _STATUSES, self.shape),
            default_shape=self.shape,
        )
