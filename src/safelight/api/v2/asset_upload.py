"""``POST /api/v2/assets``: an upload, whose bytes go into the blob store as they arrive.

The fields come before the file, so that the bytes can be compared with ``expected_hash`` before they are stored.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import unchecked_body
from safelight.api.multipart import Form, read_form
from safelight.api.request_body import InvalidBody
from safelight.api.responses import json_response
from safelight.api.v2.asset_json import asset_json
from safelight.api.v2.asset_path import file_of, read_path, tags_of
from safelight.blobs.store import WrongDigest
from safelight.core.asset import Asset, clean_tags
from safelight.core.clock import whole_ms
from safelight.core.digest import Digest, parse_digest
from safelight.core.errors import Conflict, InvalidDigest, NotFound
from safelight.db.transaction import Transaction
from safelight.services import asset_access
from safelight.services import asset_library as library
from safelight.services.asset_library import NewAsset

MIN_EXPIRES_S, MAX_EXPIRES_S = 60, 604_800


class HashMismatch(Conflict):
    code = "hash_mismatch"


@unchecked_body
async def post_assets(app: App, request: ApiRequest) -> Response:
    """A new asset each time: 201 for bytes that are new to the caller, 200 for bytes of another asset of theirs."""
    who = request.who
    limit = app.settings.limits.max_asset_bytes
    with app.uploads.counted(who.user_id):
        try:
            form = await read_form(request.http, app.blobs, file_field="file", limit=limit, expected=_expected)
        except WrongDigest as error:
            raise HashMismatch(error.message) from None
    now = whole_ms(app.clock.now())
    new = _new_asset(form, now=now)

    def add(tx: Transaction) -> tuple[Asset, bool]:
        is_new = not _has(tx, new.digest)
        library.keep_bytes(tx, who, new=new, now=now)
        return library.create(tx, who, new=new, now=now), is_new

    def _has(tx: Transaction, digest: Digest) -> bool:
        try:
            asset_access.by_digest(tx, who, digest=digest, is_sha256=False)
        except NotFound:
            return False
        return True

    asset, is_new = await app.db.write(add)
    shown = asset_json(asset, request.http, now=now, created_new=is_new)
    return json_response(shown, status=201 if is_new else 200)


def _expected(fields: Mapping[str, str]) -> Digest | None:
    text = fields.get("expected_hash")
    if not text:
        return None
    try:
        return parse_digest(text)
    except InvalidDigest as error:
        raise InvalidBody(f"invalid expected_hash: {error.message}") from None


def _new_asset(form: Form, *, now: datetime) -> NewAsset:
    from safelight.media.sniff import UNKNOWN, mime_type_of

    file = form.files.get("file")
    if file is None:
        raise InvalidBody("the form has no file 'file'")
    if (expected := _expected(form.fields)) not in (None, file.digest):
        raise InvalidBody(f"invalid form: 'expected_hash' ({expected}) must come before the file, and match it")
    for name in ("content_type", "file_path"):
        if not form.fields.get(name):
            raise InvalidBody(f"the form has no field {name!r}")
    path = read_path(form.fields["file_path"])
    found = mime_type_of(path, file.head)
    return NewAsset(
        name=path,
        digest=file.digest,
        sha256=file.sha256,
        size=file.size,
        # The bytes decide; the client's own type is used only where they are of no known type.
        mime_type=found if found != UNKNOWN else _content_type(form.fields["content_type"]),
        tags=clean_tags([*tags_of(path), *form.lists.get("tags", ())]),
        file=file_of(path),
        expires_at=_expires_at(form.fields.get("expires_in"), now=now),
    )


def _content_type(text: str) -> str:
    kind, slash, rest = text.partition("/")
    if not (kind and slash and rest) or not text.isascii() or not text.isprintable() or len(text) > 255:
        raise InvalidBody(f"invalid content_type {text[:80]!r}: it is not a MIME type")
    return text


def _expires_at(text: str | None, *, now: datetime) -> datetime | None:
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdecimal() or not MIN_EXPIRES_S <= int(text[:9]) <= MAX_EXPIRES_S:
        raise InvalidBody(f"invalid expires_in {text[:40]!r}: it is {MIN_EXPIRES_S} to {MAX_EXPIRES_S} seconds")
    return now + timedelta(seconds=int(text))
