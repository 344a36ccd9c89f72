"""Publishing: what another user with the share id gets and does not get, and withdrawing it."""

import json
from typing import Any

import pytest
from tests.database import ANNA, BEN, NOW, Env, at
from tests.services.files import new_file

from safelight.core.asset import PUBLIC_OWNER, FileName, Folder
from safelight.core.errors import Forbidden, Invalid, LimitExceeded, NotFound, TooLarge
from safelight.core.ids import AssetId, ShareId
from safelight.core.user import Principal
from safelight.db import user
from safelight.db.transaction import Transaction
from safelight.services import asset_access, named_files, publication, userdata, workflow
from safelight.services.publication import PublicationView

pytestmark = pytest.mark.anyio

PATH = "workflows/My cat.json"
GRAPH: dict[str, Any] = {"nodes": [{"widgets_values": ["cat.png"]}], "extra": {"api_key_comfy_org": "secret"}}
LIMIT = 10_000


async def write(env: Env, content: Any = GRAPH, *, path: str = PATH) -> None:
    data = json.dumps(content).encode()
    await env.do(userdata.write, ANNA, path=path, content=data, overwrite=True, now=NOW)


async def upload(env: Env, who: Principal, name: str, data: bytes) -> AssetId:
    new = new_file(FileName(Folder.INPUT, "", name), data)
    return (await env.do(named_files.upload, who, new=new, overwrite=False, now=NOW)).id


async def publish(env: Env, *asset_ids: AssetId, path: str = PATH, now: float = 0) -> PublicationView:
    words: dict[str, Any] = {"path": path, "asset_ids": asset_ids, "max_bytes": LIMIT}
    return await env.do(publication.publish, ANNA, now=at(now), **words)


async def read(env: Env, who: Principal, seen: PublicationView) -> tuple[PublicationView, Any]:
    return await env.read(publication.read, who, share_id=seen.publication.share_id, max_bytes=LIMIT)


async def test_a_stranger_reads_the_snapshot(env: Env) -> None:
    await write(env)
    assert await env.read(publication.status, ANNA, path=PATH) is None
    cat, dog = await upload(env, ANNA, "cat.png", b"cat"), await upload(env, ANNA, "dog.png", b"dog")
    await upload(env, BEN, "kitten.png", b"cat")
    published = await publish(env, dog, cat, dog, now=5)
    assert await env.read(publication.status, ANNA, path=PATH) == published

    seen, content = await read(env, BEN, published)
    assert content == {"nodes": GRAPH["nodes"], "extra": {"api_key_comfy_org": ""}}
    assert (seen.publication.name, seen.publication.published_at) == ("My cat", at(5))
    assert [(a.asset_id, a.digest in seen.owned, a.is_model, a.is_public) for a in seen.publication.assets] == [
        (dog, False, False, False),
        (cat, True, False, False),
    ]
    assert published.owned == {a.digest for a in published.publication.assets}
    share_id = published.publication.share_id
    assert (await env.read(asset_access.by_share, BEN, share_id=share_id, asset_id=dog)).name == "dog.png"
    with pytest.raises(NotFound):
        await env.read(asset_access.by_share, BEN, share_id=ShareId("guess"), asset_id=dog)


async def test_what_is_saved_later_is_another_publication(env: Env) -> None:
    await write(env)
    first = await publish(env)
    await write(env, {"nodes": []})
    assert (await read(env, BEN, first))[1]["nodes"] == GRAPH["nodes"]
    second = await publish(env, now=5)
    again = await publish(env, now=6)
    assert len({p.publication.share_id for p in (first, second, again)}) == 3
    assert len({p.publication.workflow_id for p in (first, second, again)}) == 1
    assert [p.publication.version for p in (first, second, again)] == [1, 2, 2]
    assert (await read(env, BEN, first))[1]["nodes"] == GRAPH["nodes"]
    assert await env.read(publication.status, ANNA, path=PATH) == again


async def test_only_one_s_own_and_public_assets_travel(env: Env) -> None:
    await write(env)
    await env.do(add_public_owner)
    theirs = await upload(env, BEN, "bird.png", b"bird")
    offered = await upload(env, Principal(PUBLIC_OWNER), "sd15.safetensors", b"model")
    for wrong in (theirs, AssetId("nothing"), AssetId("x" * 1000)):
        with pytest.raises(Invalid, match="there is no asset"):
            await publish(env, wrong)
    assert await env.read(publication.status, ANNA, path=PATH) is None
    published = await publish(env, offered)
    assert [a.is_public for a in published.publication.assets] == [True]


async def test_limits(env: Env) -> None:
    await write(env, {"a": "x" * LIMIT})
    with pytest.raises(LimitExceeded):
        await publish(env)
    await write(env, {"a": "x"})
    published = await publish(env)
    with pytest.raises(TooLarge):
        await env.read(publication.read, BEN, share_id=published.publication.share_id, max_bytes=5)
    with pytest.raises(LimitExceeded, match="1001 assets"):
        await publish(env, *(AssetId(str(n)) for n in range(1001)))


@pytest.mark.parametrize("path", ["workflows/none.json", "../x.json", "", "a\x00", "/etc/passwd", "a/"])
async def test_a_file_that_is_not_there(env: Env, path: str) -> None:
    with pytest.raises(NotFound):
        await publish(env, path=path)
    with pytest.raises(NotFound):
        await env.read(publication.status, ANNA, path=path)


async def test_what_is_no_workflow_is_not_published(env: Env) -> None:
    await env.do(userdata.write, ANNA, path="a.txt", content=b"hello", overwrite=True, now=NOW)
    with pytest.raises(Invalid):
        await publish(env, path="a.txt")


async def test_a_publication_follows_its_file_and_ends_with_it(env: Env) -> None:
    await write(env)
    published = await publish(env)
    await env.do(userdata.move, ANNA, path=PATH, to="b.json", overwrite=True)
    assert await env.read(publication.status, ANNA, path="b.json") == published
    await write(env, {"other": 1})
    assert await env.read(publication.status, ANNA, path=PATH) is None
    other = await publish(env)
    await env.do(userdata.move, ANNA, path="b.json", to=PATH, overwrite=True)
    with pytest.raises(NotFound):
        await read(env, BEN, other)
    assert (await read(env, BEN, published))[1]["nodes"] == GRAPH["nodes"]
    await env.do(userdata.remove, ANNA, path=PATH)
    with pytest.raises(NotFound):
        await read(env, BEN, published)
    await write(env)
    assert await env.read(publication.status, ANNA, path=PATH) is None


async def test_the_saved_workflow_behind_it(env: Env) -> None:
    await write(env)
    published = await publish(env)
    workflow_id, version = published.publication.workflow_id, published.publication.version
    assert (await env.read(workflow.get, ANNA, workflow_id=workflow_id)).name == "My cat"
    for act in (
        lambda tx: workflow.get(tx, BEN, workflow_id=workflow_id),
        lambda tx: workflow.latest(tx, BEN, workflow_id=workflow_id),
        lambda tx: workflow.add_version(tx, BEN, workflow_id=workflow_id, base_version=1, content={}, now=NOW),
    ):
        with pytest.raises(Forbidden):
            await env.do(act)
    with pytest.raises(NotFound):
        await env.do(workflow.remove, BEN, workflow_id=workflow_id, now=NOW)
    await env.do(workflow.add_version, ANNA, workflow_id=workflow_id, base_version=1, content={"new": 1}, now=NOW)
    with pytest.raises(NotFound):
        await env.do(workflow.fork, BEN, workflow_id=workflow_id, version=2, name=None, now=NOW)
    forked = await env.do(workflow.fork, BEN, workflow_id=workflow_id, version=version, name=None, now=NOW)
    assert forked.forked_from is not None
    assert forked.forked_from.workflow_id == workflow_id
    copied = await env.read(workflow.latest, BEN, workflow_id=forked.id)
    assert copied.content == {"nodes": GRAPH["nodes"], "extra": {"api_key_comfy_org": ""}}
    await env.do(workflow.remove, ANNA, workflow_id=workflow_id, now=NOW)
    with pytest.raises(NotFound):
        await read(env, BEN, published)
    with pytest.raises(NotFound):
        await env.read(workflow.get, BEN, workflow_id=workflow_id)
    assert await env.read(publication.status, ANNA, path=PATH) is None


def add_public_owner(tx: Transaction) -> None:
    user.ensure(tx.conn, PUBLIC_OWNER, name=PUBLIC_OWNER, is_admin=False, now=NOW)
