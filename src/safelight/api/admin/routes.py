"""The routes of this package, in the form of those beside the contract."""

from safelight.api.admin import packs, schedule
from safelight.api.route import Route

ROUTES = (
    Route("GET", "/api/admin/packs", packs.get_packs, also_api=False),
    Route("GET", "/api/admin/schedule", schedule.get_schedule, also_api=False),
    Route("PUT", "/api/admin/schedule/queue", schedule.set_queue_gate, also_api=False),
    Route("PUT", "/api/admin/schedule/slots/{slot}", schedule.set_slot_gate, also_api=False),
)
