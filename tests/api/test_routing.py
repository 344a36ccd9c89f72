"""The trie over raw paths."""

import pytest

from safelight.api.routing import Router


@pytest.fixture
def router() -> Router[str]:
    router: Router[str] = Router()
    for method, path in (
        ("GET", "/api/userdata"),
        ("GET", "/api/userdata/{file}"),
        ("POST", "/api/userdata/{file}/move/{dest}"),
        ("GET", "/api/assets/{id}"),
        ("POST", "/api/assets/{id}/tags"),
        ("GET", "/api/assets/tags/refine"),
        ("HEAD", "/api/assets/hash/{hash}"),
    ):
        router.add(method, path, f"{method} {path}")
    return router


@pytest.mark.parametrize(
    ("raw", "template", "values"),
    [
        (b"/api/userdata", "GET /api/userdata", ()),
        (b"/api/userdata/workflows%2Fa%20b%2Fmy.json", "GET /api/userdata/{file}", ("workflows/a b/my.json",)),
        (b"/api/userdata/a%2Fb/move/c%2Fd", "POST /api/userdata/{file}/move/{dest}", ("a/b", "c/d")),
        (b"/api/userdata/move/move/move", "POST /api/userdata/{file}/move/{dest}", ("move", "move")),
        (b"/api/%75serdata/x", "GET /api/userdata/{file}", ("x",)),
        (b"/api/assets/tags/refine", "GET /api/assets/tags/refine", ()),
        (b"/api/assets/tags/tags", "POST /api/assets/{id}/tags", ("tags",)),
        (b"/api/assets/hash", "GET /api/assets/{id}", ("hash",)),
        (b"/api/userdata/a+b%2B", "GET /api/userdata/{file}", ("a+b+",)),
    ],
)
def test_found(router: Router[str], raw: bytes, template: str, values: tuple[str, ...]) -> None:
    match = router.find(raw)
    assert match is not None
    [(endpoint, _)] = match.endpoints.values()
    assert (endpoint, match.values) == (template, values)


@pytest.mark.parametrize(
    "raw",
    [
        b"/",
        b"",
        b"/api",
        b"/api/userdata/",
        b"/api/userdata/a/b",
        b"/api/assets/hash/a/b",
        b"//api/userdata",
        b"/API/x",
    ],
)
def test_not_found(router: Router[str], raw: bytes) -> None:
    assert router.find(raw) is None


def test_path_that_is_not_utf_8(router: Router[str]) -> None:
    with pytest.raises(UnicodeDecodeError):
        router.find(b"/api/userdata/%ff")


def test_a_route_is_added_once(router: Router[str]) -> None:
    assert ("GET", "/api/userdata/{anything}") in router
    assert ("PUT", "/api/userdata/{file}") not in router
    with pytest.raises(ValueError, match="twice"):
        router.add("GET", "/api/userdata/{other}", "again")


def test_get_allows_head(router: Router[str]) -> None:
    match = router.find(b"/api/userdata")
    assert match is not None
    assert match.allowed == ["GET", "HEAD", "OPTIONS"]
