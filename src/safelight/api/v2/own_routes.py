"""Routes beside Comfy API v2 that its contract does not have: batches, estimates, webhooks. They have its envelope."""

from safelight.api.contract import Parameter, Shape
from safelight.api.handler import AsyncFunction, Handler
from safelight.api.route import Route
from safelight.api.v2 import batch, batch_files, estimate, webhook


def _route(method: str, path: str, handler: Handler | AsyncFunction, *parameters: Parameter) -> Route:
    return Route(method, f"/api/v2/{path}", handler, parameters, also_api=False, shape=Shape.ENVELOPE)


_PAGE = (Parameter("cursor"), Parameter("limit", type="integer", minimum=1, maximum=1000, default=50))

ROUTES = (
    _route("POST", "batches", batch.post_batches),
    _route("GET", "batches", batch.list_batches, *_PAGE),
    _route("GET", "batches/{id}", batch.get_batch),
    _route("GET", "batches/{id}/jobs", batch.list_batch_jobs, *_PAGE),
    _route("GET", "batches/{id}/events", batch.get_batch_events),
    _route("POST", "batches/{id}/cancel", batch.cancel_batch),
    _route("GET", "batches/{id}/results.zip", batch_files.get_batch_results),
    _route("GET", "batches/{id}/contact-sheet.png", batch_files.get_contact_sheet),
    _route("POST", "estimate", estimate.post_estimate),
    _route("GET", "webhooks", webhook.list_webhooks),
    _route("POST", "webhooks", webhook.post_webhooks),
    _route("DELETE", "webhooks/{id}", webhook.delete_webhook),
    _route("GET", "webhook-deliveries", webhook.list_deliveries),
    _route("POST", "webhook-deliveries/{id}/resend", webhook.resend_delivery),
)
