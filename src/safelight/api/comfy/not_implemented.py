"""The contract's operations that this version answers with 501; a test keeps the list complete."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.error_responses import NotImplementedHere
from safelight.api.handler import unchecked_body

NOT_IMPLEMENTED: frozenset[str] = frozenset()


@unchecked_body
async def not_implemented(app: App, request: ApiRequest) -> Response:
    raise NotImplementedHere(request.operation)
