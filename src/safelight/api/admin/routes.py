"""The routes for administrators."""

from safelight.api.admin import audit, given_graphs, housekeeping, jobs, keys, models, packs, schedule, usage, users
from safelight.api.route import Route

ROUTES = (
    Route("GET", "/api/admin/audit", audit.list_entries, audit.PARAMETERS, also_api=False),
    Route("GET", "/api/admin/workflows", given_graphs.list_graphs, also_api=False),
    Route("PUT", "/api/admin/workflows/{name}", given_graphs.give_graph, also_api=False),
    Route("DELETE", "/api/admin/workflows/{name}", given_graphs.withdraw_graph, also_api=False),
    Route("GET", "/api/admin/jobs", jobs.list_jobs, jobs.LIST_PARAMETERS, also_api=False),
    Route("GET", "/api/admin/jobs/{user_id}/{job_id}", jobs.get_job, also_api=False),
    Route("GET", "/api/admin/jobs/{user_id}/{job_id}/logs", jobs.get_job_logs, also_api=False),
    Route("DELETE", "/api/admin/jobs/{user_id}/{job_id}", jobs.delete_job, also_api=False),
    Route("POST", "/api/admin/jobs/{user_id}/{job_id}/cancel", jobs.cancel_job, also_api=False),
    Route("POST", "/api/admin/jobs/{user_id}/{job_id}/retry", jobs.retry_job, also_api=False),
    Route("POST", "/api/admin/jobs/{user_id}/{job_id}/front", jobs.job_to_front, also_api=False),
    Route("GET", "/api/admin/keys", keys.list_keys, also_api=False),
    Route("DELETE", "/api/admin/keys/{key_id}", keys.revoke_key, also_api=False),
    Route("GET", "/api/admin/log", keys.get_log, also_api=False),
    Route("GET", "/api/admin/usage", usage.list_usage, usage.USAGE_PARAMETERS, also_api=False),
    Route("GET", "/api/admin/feedback", usage.list_feedback, usage.FEEDBACK_PARAMETERS, also_api=False),
    Route("GET", "/api/admin/housekeeping", housekeeping.get_housekeeping, also_api=False),
    Route("POST", "/api/admin/housekeeping/run", housekeeping.run_housekeeping, also_api=False),
    Route("GET", "/api/admin/models", models.list_models, also_api=False),
    Route("GET", "/api/admin/models/source", models.get_source, models.SOURCE_PARAMETERS, also_api=False),
    Route("GET", "/api/admin/models/imports", models.list_imports, also_api=False),
    Route("POST", "/api/admin/models/imports", models.start_import, also_api=False),
    Route("GET", "/api/admin/packs", packs.get_packs, also_api=False),
    Route("GET", "/api/admin/schedule", schedule.get_schedule, also_api=False),
    Route("GET", "/api/admin/users", users.list_users, also_api=False),
    Route("POST", "/api/admin/users", users.invite_users, also_api=False),
    Route("PATCH", "/api/admin/users/{user_id}", users.change_user, also_api=False),
    Route("DELETE", "/api/admin/users/{user_id}", users.delete_user, also_api=False),
    Route("POST", "/api/admin/users/{user_id}/invitation", users.invite_again, also_api=False),
    Route("PUT", "/api/admin/schedule/queue", schedule.set_queue_gate, also_api=False),
    Route("PUT", "/api/admin/schedule/slots/{slot}", schedule.set_slot_gate, also_api=False),
)
