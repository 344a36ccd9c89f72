"""``/api/admin/keys``: the API keys of all users, without their secrets; ``/api/admin/log``: the latest log lines."""

from typing import Any

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import reads, writes
from safelight.api.responses import json_response
from safelight.core.clock import to_ms
from safelight.core.credential import KeyId
from safelight.db.transaction import Transaction
from safelight.services import audit
from safelight.services import key as keys
from safelight.services import user_directory as directory


@reads
def list_all_keys(tx: Transaction, request: ApiRequest) -> Any:
    directory.require_admin(request.who)
    found = keys.list(tx)
    return {
        "keys": [
            {"id": key.id, "user": key.owner, "label": key.label, "created_at": to_ms(key.created_at)} for key in found
        ]
    }


@writes(status=204)
def revoke_key(tx: Transaction, request: ApiRequest) -> Any:
    directory.require_admin(request.who)
    key_id = KeyId(request.params["key_id"])
    keys.revoke(tx, key_id=key_id)
    audit.write(tx, request.who, action="key.revoke", subject=key_id, now=request.now)


async def get_log(app: App, request: ApiRequest) -> Response:
    directory.require_admin(request.who)
    return json_response({"lines": [{"at": to_ms(at), "text": text} for at, text in app.logs.entries(owner=None)]})
