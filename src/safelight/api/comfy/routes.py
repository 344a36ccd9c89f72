"""Every route: the contract's operations with their handlers, ComfyUI's spellings beside them, and our own."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules

from safelight.api import comfy
from safelight.api.admin import routes as admin
from safelight.api.api_request import Handler
from safelight.api.comfy import legacy
from safelight.api.comfy.not_implemented import not_implemented
from safelight.api.contract import Contract, Operation
from safelight.api.pipeline import Endpoint
from safelight.api.routing import Router

OWN_BODY = frozenset(
    {"executePrompt", "updateMultipleSettings", "updateSettingById", "uploadImage", "uploadMask", "uploadAsset"}
)
"""Operations whose handlers read the body themselves: ComfyUI's own errors, JSON that calls itself text, forms."""


def build_router(contract: Contract) -> Router[Endpoint]:
    router: Router[Endpoint] = Router()
    handlers = find_handlers(contract)
    for path, endpoint in _legacy(contract):
        router.add(endpoint.operation.method, path, endpoint)
    for operation in contract.operations.values():
        endpoint = _endpoint(operation, handlers.get(operation.id))
        router.add(operation.method, operation.path, endpoint)
        root = operation.path.removeprefix("/api")
        if not operation.path.startswith(legacy.ONLY_WITH_API) and (operation.method, root) not in router:
            router.add(operation.method, root, endpoint)
    return router


def _endpoint(operation: Operation, handler: Handler | None) -> Endpoint:
    if handler is None:
        return Endpoint(operation, not_implemented, checks_body=False)
    return Endpoint(operation, handler, checks_body=operation.id not in OWN_BODY)


def find_handlers(contract: Contract) -> Mapping[str, Handler]:
    """The functions of this package's modules that are named by an operation, in snake case."""
    names = {_snake(operation_id): operation_id for operation_id in contract.operations}
    found: dict[str, Handler] = {}
    for info in iter_modules(comfy.__path__):
        module = import_module(f"{comfy.__name__}.{info.name}")
        for name, value in vars(module).items():
            if name in names and callable(value) and value.__module__ == module.__name__:
                found[names[name]] = value
    return found


def _legacy(contract: Contract) -> Iterator[tuple[str, Endpoint]]:
    security: tuple[frozenset[str], ...] = tuple(frozenset(s) for s in contract.document.get("security", ()))
    for route in (*legacy.ROUTES, *admin.ROUTES):
        for path in route.paths:
            yield path, Endpoint(route.operation(path, security), route.handler, checks_body=False)


def _snake(operation_id: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation_id).lower()
