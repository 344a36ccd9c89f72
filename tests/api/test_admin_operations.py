"""Every operation for administrators, as everybody else: a user learns nothing, not even whether something exists."""

import re

import pytest
from tests.api.accounts import signed_in
from tests.api.conftest import Server

from safelight.api.admin.routes import ROUTES
from safelight.api.route import Route

pytestmark = pytest.mark.anyio


def address(route: Route, user_id: str) -> str:
    filled = route.path.replace("{user_id}", user_id)
    required = "&".join(f"{each.name}=1" for each in route.parameters if each.required)
    return re.sub(r"\{\w+\}", "something", filled) + (f"?{required}" if required else "")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_only_administrators_may(server: Server, route: Route) -> None:
    root, _ = await signed_in(server, "root", is_admin=True)
    someone, anna = await signed_in(server, "anna")
    answers = []
    for user_id in (root.user_id, someone.user_id, "nobody"):
        as_user = await server.client.request(
            route.method, address(route, user_id), headers={**anna, "content-type": "application/json"}, body=b"{}"
        )
        assert as_user.status == 403, (route.path, as_user.text)
        answers.append(as_user.text)
    assert len(set(answers)) == 1, "the answers tell users apart"
    stranger = await server.client.request(route.method, address(route, root.user_id))
    assert stranger.status == 401, stranger.text
