"""``/api/admin/housekeeping``: what is due, and a run on request."""

import pytest
from tests.api.accounts import signed_in
from tests.api.conftest import Server

pytestmark = pytest.mark.anyio

PATH = "/api/admin/housekeeping"


async def test_an_administrator_sees_the_rules_and_starts_a_run(server: Server) -> None:
    _, root = await signed_in(server, "root", is_admin=True)
    shown = (await server.client.get(PATH, root)).json
    assert [(rule["kind"], rule["age_s"]) for rule in shown["rules"]] == [
        ("previews", 86400.0),
        ("outputs", 0.0),
        ("history", 0.0),
        ("logs", 30 * 86400.0),
    ]
    assert shown["last"] is None
    done = (await server.client.post(f"{PATH}/run", {}, headers=root)).json
    assert done["last"]["error"] == ""
    assert done["last"]["freed"] == {"count": 0, "bytes": 0}


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("POST", f"{PATH}/run")])
async def test_others_are_refused(server: Server, method: str, path: str) -> None:
    _, anna = await signed_in(server, "anna")
    assert (await server.client.request(method, path, headers=anna)).status == 403
    assert (await server.client.request(method, path)).status == 401
