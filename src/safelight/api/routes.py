"""Every route of the API: the contract's operations with their handlers, ComfyUI's spellings, and Safelight's own."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from safelight.api import comfy, health, metrics
from safelight.api import v2 as v2_package
from safelight.api.account import routes as account
from safelight.api.admin import routes as admin
from safelight.api.comfy import comfy_routes
from safelight.api.comfy.not_implemented import not_implemented
from safelight.api.contract import Contract
from safelight.api.handler import Handler, as_handler
from safelight.api.pipeline import Endpoint
from safelight.api.route import Route
from safelight.api.routing import Router
from safelight.api.v2 import own_routes as v2_own

OWN_ROUTES: tuple[Route, ...] = (*comfy_routes.ROUTES, *health.ROUTES, *metrics.ROUTES, *account.ROUTES, *admin.ROUTES)
"""The routes that the contract does not have."""


def build_router(contract: Contract, v2: Contract) -> Router[Endpoint]:
    """``contract``: of ComfyUI's API; ``v2``: of Comfy API v2, whose paths are served under ``/api`` only."""
    router: Router[Endpoint] = Router()
    handlers = find_handlers(contract)
    v2_handlers = find_handlers(v2, v2_package)
    for operation in v2.operations.values():
        router.add(operation.method, operation.path, Endpoint(operation, v2_handlers[operation.id]))
    for path, endpoint in _endpoints(v2_own.ROUTES, contract):
        router.add(endpoint.operation.method, path, endpoint)
    for path, endpoint in _endpoints(OWN_ROUTES, contract):
        router.add(endpoint.operation.method, path, endpoint)
    for operation in contract.operations.values():
        endpoint = Endpoint(operation, handlers.get(operation.id, not_implemented))
        router.add(operation.method, operation.path, endpoint)
        root = operation.path.removeprefix("/api")
        if not operation.path.startswith(comfy_routes.ONLY_WITH_API) and (operation.method, root) not in router:
            router.add(operation.method, root, endpoint)
    return router


def find_handlers(contract: Contract, package: ModuleType = comfy) -> Mapping[str, Handler]:
    """The handlers in the modules of ``package`` by operation id; each is named by it, in snake case."""
    names = {_snake(operation_id): operation_id for operation_id in contract.operations}
    found: dict[str, Handler] = {}
    for info in iter_modules(package.__path__):
        module = import_module(f"{package.__name__}.{info.name}")
        for name, value in vars(module).items():
            if name in names and callable(getattr(value, "function", value)):
                handler = as_handler(value)
                if handler.function.__module__ == module.__name__:
                    found[names[name]] = handler
    return found


def _endpoints(routes: Sequence[Route], contract: Contract) -> Iterator[tuple[str, Endpoint]]:
    security: tuple[frozenset[str], ...] = tuple(frozenset(s) for s in contract.document.get("security", ()))
    for route in routes:
        for path in route.paths:
            yield path, Endpoint(route.operation(path, security), as_handler(route.handler))


def _snake(operation_id: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation_id).lower()
