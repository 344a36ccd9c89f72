"""``/api/v2/webhooks``: the caller's webhooks and what was sent to them."""

from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import reads, writes
from safelight.api.request_body import InvalidBody
from safelight.api.responses import json_response
from safelight.core.clock import whole_ms
from safelight.core.webhook import Delivery, DeliveryId, Endpoint, EndpointId, read_kinds
from safelight.db.transaction import Transaction
from safelight.services import webhook as webhooks

_LARGEST_BODY = 16 * 1024


@reads
def list_webhooks(tx: Transaction, request: ApiRequest) -> Any:
    return {"webhooks": [_endpoint_json(endpoint) for endpoint in webhooks.list(tx, request.who)]}


async def post_webhooks(app: App, request: ApiRequest) -> Response:
    """The answer is the only one with the secret."""
    who, now = request.who, whole_ms(request.now)
    body = await request.read_json(limit=_LARGEST_BODY)
    if not isinstance(body, dict) or not isinstance(body.get("url"), str) or set(body) - {"url", "events"}:
        raise InvalidBody("the body must be an object with the string 'url', and may have a list 'events'")
    url, kinds = body["url"], read_kinds(body.get("events"))
    endpoint = await app.db.write(lambda tx: webhooks.add(tx, who, url=url, kinds=kinds, now=now))
    return json_response(_endpoint_json(endpoint) | {"secret": endpoint.secret}, status=201)


@writes(status=204)
def delete_webhook(tx: Transaction, request: ApiRequest) -> Any:
    webhooks.remove(tx, request.who, endpoint_id=EndpointId(request.params["id"]))


@reads
def list_deliveries(tx: Transaction, request: ApiRequest) -> Any:
    return {"deliveries": [_delivery_json(delivery) for delivery in webhooks.deliveries(tx, request.who)]}


@writes
def resend_delivery(tx: Transaction, request: ApiRequest) -> Any:
    delivery_id = DeliveryId(request.params["id"])
    return _delivery_json(webhooks.send_again(tx, request.who, delivery_id=delivery_id, now=request.now))


def _endpoint_json(endpoint: Endpoint) -> dict[str, Any]:
    shown = {"id": endpoint.id, "url": endpoint.url, "events": list(endpoint.kinds)}
    return shown | {"created_at": endpoint.created_at}


def _delivery_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "webhook_id": delivery.endpoint_id,
        "event": delivery.kind,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": delivery.created_at,
        "next_attempt_at": delivery.due_at,
        "delivered_at": delivery.delivered_at,
        "error": delivery.error,
    }
