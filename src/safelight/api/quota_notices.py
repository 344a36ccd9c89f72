"""Tells a user's webhooks what was refused because of a quota; the refused transaction itself leaves nothing."""

from safelight.api.app import App
from safelight.core.errors import SafelightError
from safelight.core.ids import UserId
from safelight.core.user import QuotaReached, StorageSpent
from safelight.db.transaction import Transaction
from safelight.services import webhook_queue as webhooks


async def tell_refusal(app: App, owner_id: UserId, error: SafelightError) -> None:
    """Queue the webhook if the error comes from a quota, and the owner was not told lately."""
    if not isinstance(error, QuotaReached | StorageSpent) or error.quota is None:
        return
    quota, now = error.quota, app.clock.now()

    def tell(tx: Transaction) -> None:
        if webhooks.wants_refusal(tx, owner_id, quota=quota.name, now=now):
            webhooks.quota_reached(tx, owner_id, quota=quota.name, limit=quota.limit, now=now)

    if await app.db.read(lambda tx: webhooks.wants_refusal(tx, owner_id, quota=quota.name, now=now)):
        await app.db.write(tell)
