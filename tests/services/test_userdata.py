"""A user's small files."""

import pytest
from tests.database import ANNA, BEN, NOW, Env, at

from safelight.core.errors import Conflict, InvalidName, LimitExceeded, NotFound
from safelight.services import userdata

pytestmark = pytest.mark.anyio


async def write(env: Env, path: str, content: bytes = b"{}", *, overwrite: bool = True, now: float = 0) -> None:
    await env.do(userdata.write, ANNA, path=path, content=content, overwrite=overwrite, now=at(now))


async def paths(env: Env, directory: str, *, recurse: bool) -> list[str]:
    return [f.path for f in await env.read(userdata.list, ANNA, directory=directory, recurse=recurse)]


async def test_write_and_read(env: Env) -> None:
    await write(env, "workflows/one.json", b'{"a": 1}')
    await write(env, "workflows/one.json", b'{"a": 23}', now=5)
    assert await env.read(userdata.read, ANNA, path="workflows/one.json") == b'{"a": 23}'
    file = await env.read(userdata.stat, ANNA, path="workflows/one.json")
    assert (file.path, file.size, file.created_at, file.modified_at) == ("workflows/one.json", 9, NOW, at(5))
    with pytest.raises(Conflict, match="File already exists"):
        await write(env, "workflows/one.json", overwrite=False)
    with pytest.raises(NotFound):
        await env.read(userdata.read, BEN, path="workflows/one.json")


async def test_listing(env: Env) -> None:
    for path in ("workflows/one.json", "workflows/sub/two.json", "workflows-old/x.json", "top.json", "workflows0"):
        await write(env, path)
    assert await paths(env, "workflows", recurse=False) == ["one.json"]
    assert await paths(env, "workflows/", recurse=True) == ["one.json", "sub/two.json"]
    assert await paths(env, "", recurse=False) == ["top.json", "workflows0"]
    assert len(await paths(env, "", recurse=True)) == 5
    assert await env.read(userdata.list, BEN, directory="", recurse=True) == []
    with pytest.raises(NotFound, match="Directory not found"):
        await paths(env, "nope", recurse=True)
    assert await env.read(userdata.list, BEN, directory="workflows", recurse=True) == []


async def test_what_the_web_ui_asks_every_user_for_is_there_before_it_was_written(env: Env) -> None:
    assert await paths(env, "subgraphs", recurse=True) == []
    assert await env.read(userdata.read, ANNA, path="user.css") == b""
    assert (await env.read(userdata.stat, ANNA, path="comfy.templates.json")).size == 2
    for gone in (
        env.do(userdata.remove, ANNA, path="user.css"),
        env.do(userdata.move, ANNA, path="user.css", to="a.css", overwrite=True),
    ):
        with pytest.raises(NotFound):
            await gone
    await write(env, "user.css", b"body {}", overwrite=False)
    assert await env.read(userdata.read, ANNA, path="user.css") == b"body {}"


async def test_move(env: Env) -> None:
    await write(env, "a.json", b"a")
    await write(env, "b.json", b"b")
    with pytest.raises(Conflict):
        await env.do(userdata.move, ANNA, path="a.json", to="b.json", overwrite=False)
    moved = await env.do(userdata.move, ANNA, path="a.json", to="b.json", overwrite=True)
    assert moved.path == "b.json"
    assert await paths(env, "", recurse=True) == ["b.json"]
    assert await env.read(userdata.read, ANNA, path="b.json") == b"a"
    assert (await env.do(userdata.move, ANNA, path="b.json", to="b.json", overwrite=False)).path == "b.json"
    with pytest.raises(NotFound):
        await env.do(userdata.move, BEN, path="b.json", to="c.json", overwrite=True)


async def test_remove(env: Env) -> None:
    await write(env, "a.json")
    with pytest.raises(NotFound):
        await env.do(userdata.remove, BEN, path="a.json")
    await env.do(userdata.remove, ANNA, path="a.json")
    with pytest.raises(NotFound):
        await env.do(userdata.remove, ANNA, path="a.json")


@pytest.mark.parametrize(
    "path", ["../x.json", "a/../../x", "/etc/passwd", "", ".", "a/", "a\x00b", "C:/x", "a/" * 40 + "x"]
)
async def test_a_path_that_leads_elsewhere_is_refused(env: Env, path: str) -> None:
    with pytest.raises(InvalidName):
        await write(env, path)
    with pytest.raises(InvalidName):
        await env.read(userdata.read, ANNA, path=path)


async def test_a_file_has_a_limit(env: Env) -> None:
    with pytest.raises(LimitExceeded):
        await write(env, "big.bin", b"x" * (userdata.MAX_BYTES + 1))
