"""The operations of the contract that this version answers with 501; a test holds the list equal to the truth."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.errors import NotImplementedHere

NOT_IMPLEMENTED: frozenset[str] = frozenset()


async def not_implemented(app: App, request: ApiRequest) -> Response:
    raise NotImplementedHere(request.operation)
