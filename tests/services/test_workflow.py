"""Saved workflows: versions, conflicts, search, forks, and the assets that their graphs name."""

from typing import Any

import pytest
from tests.database import ANNA, BEN, NOW, Env, at
from tests.services.files import new_file

from safelight.core.asset import FileName, Folder
from safelight.core.errors import Conflict, Invalid, NotFound, SafelightError
from safelight.core.ids import VersionId, WorkflowId
from safelight.core.paging import PageRequest
from safelight.core.user import Principal
from safelight.core.workflow import DefaultView, Origin, Workflow, WorkflowSort
from safelight.services import named_files, workflow
from safelight.services.workflow import NewWorkflow

pytestmark = pytest.mark.anyio

GRAPH: dict[str, Any] = {"nodes": [{"id": 1, "type": "LoadImage", "widgets_values": ["cat.png", "image"]}]}
PAGE = PageRequest(20)


async def save(env: Env, name: str | None = "one", *, who: Principal = ANNA, now: float = 0, **words: Any) -> Workflow:
    new = NewWorkflow(content=words.pop("content", GRAPH), name=name, **words)
    return await env.do(workflow.create, who, new=new, now=at(now))


async def names(env: Env, **words: Any) -> list[str | None]:
    page = await env.read(workflow.list, ANNA, page=words.pop("page", PAGE), **words)
    return [found.name for found in page.items]


async def test_save_and_read(env: Env) -> None:
    saved = await save(env, "one", description="a cat", default_view=DefaultView.APP)
    assert (saved.latest_version, saved.owner_id, saved.created_at) == (1, ANNA.user_id, NOW)
    assert await env.read(workflow.get, ANNA, workflow_id=saved.id) == saved
    version = await env.read(workflow.latest, ANNA, workflow_id=saved.id)
    assert (version.version, version.content) == (1, GRAPH)


async def test_versions_never_change_and_follow_one_another(env: Env) -> None:
    saved = await save(env)
    second = await env.do(
        workflow.add_version, ANNA, workflow_id=saved.id, base_version=1, content={"nodes": []}, now=at(5)
    )
    assert second.version == 2
    after = await env.read(workflow.get, ANNA, workflow_id=saved.id)
    assert (after.latest_version, after.updated_at, after.created_at) == (2, at(5), NOW)
    for stale in (1, 3, 0, -1, 10**30):
        with pytest.raises(Conflict, match="at version 2"):
            await env.do(workflow.add_version, ANNA, workflow_id=saved.id, base_version=stale, content={}, now=at(6))
    assert (await env.read(workflow.latest, ANNA, workflow_id=saved.id)).content == {"nodes": []}
    first = await env.do(workflow.fork, ANNA, workflow_id=saved.id, version=1, name=None, now=at(7))
    assert (await env.read(workflow.latest, ANNA, workflow_id=first.id)).content == GRAPH


async def test_change(env: Env) -> None:
    saved = await save(env, "one", description="old")
    words: dict[str, Any] = {"description": None, "default_view": None}
    same = await env.do(workflow.change, ANNA, workflow_id=saved.id, name="one", now=at(5), **words)
    assert same == saved
    after = await env.do(workflow.change, ANNA, workflow_id=saved.id, name="two", now=at(6), **words)
    assert (after.name, after.description, after.updated_at) == ("two", "old", at(6))
    assert await env.read(workflow.get, ANNA, workflow_id=saved.id) == after


async def test_delete_hides_it_from_everything(env: Env) -> None:
    saved = await save(env)
    await env.do(workflow.remove, ANNA, workflow_id=saved.id, now=at(5))
    assert await names(env) == []
    for act in everything_with(ANNA, saved.id):
        with pytest.raises(NotFound):
            await env.do(act)


async def test_list_is_searched_sorted_and_paged(env: Env) -> None:
    for n, name in enumerate(["Straße", "cat 100%", "CATALOGUE", "a_b"]):
        await save(env, name, now=n, default_view=DefaultView.APP if n == 3 else DefaultView.WORKFLOW)
    await save(env, "cat of another", who=BEN)
    oldest = (await env.read(workflow.list, ANNA, descending=False, page=PAGE)).items[0]
    await env.do(
        workflow.change, ANNA, workflow_id=oldest.id, name=None, description="new", default_view=None, now=at(9)
    )
    assert await names(env) == ["a_b", "CATALOGUE", "cat 100%", "Straße"]
    assert await names(env, sort=WorkflowSort.NAME, descending=False) == ["a_b", "cat 100%", "CATALOGUE", "Straße"]
    assert await names(env, sort=WorkflowSort.UPDATED) == ["Straße", "a_b", "CATALOGUE", "cat 100%"]
    assert await names(env, name="cAt") == ["CATALOGUE", "cat 100%"]
    assert await names(env, name="STRASSE") == ["Straße"]
    assert await names(env, name="%") == ["cat 100%"]
    assert await names(env, name="_") == ["a_b"]
    assert await names(env, default_view=DefaultView.APP) == ["a_b"]
    page = await env.read(workflow.list, ANNA, page=PageRequest(2, 2))
    assert ([w.name for w in page.items], page.total, page.has_more) == (["cat 100%", "Straße"], 4, False)


async def test_fork_remembers_where_it_came_from(env: Env) -> None:
    saved = await save(env, "one", description="a cat")
    source = await env.read(workflow.latest, ANNA, workflow_id=saved.id)
    forked = await env.do(workflow.fork, ANNA, workflow_id=saved.id, version=1, name=None, now=at(5))
    assert (forked.name, forked.description, forked.latest_version) == ("one", "a cat", 1)
    assert forked.forked_from == Origin(saved.id, source.id)
    await env.do(workflow.remove, ANNA, workflow_id=saved.id, now=at(6))
    assert (await env.read(workflow.get, ANNA, workflow_id=forked.id)).forked_from == Origin(saved.id, source.id)
    for missing in (0, 2, -1, 10**30):
        with pytest.raises(NotFound):
            await env.do(workflow.fork, ANNA, workflow_id=forked.id, version=missing, name=None, now=at(7))


async def test_an_origin_must_be_one_that_the_caller_knows(env: Env) -> None:
    saved = await save(env)
    version = await env.read(workflow.latest, ANNA, workflow_id=saved.id)
    known = Origin(saved.id, version.id)
    assert (await save(env, forked_from=known)).forked_from == known
    assert (await save(env, forked_from=Origin(saved.id, None))).forked_from == Origin(saved.id, None)
    with pytest.raises(Invalid):
        await save(env, forked_from=Origin(saved.id, VersionId("other")))
    with pytest.raises(Invalid):
        await save(env, forked_from=known, who=BEN)
    assert (await env.read(workflow.list, BEN, page=PAGE)).total == 0


async def test_dependencies_are_the_owner_s_assets_that_the_graph_names(env: Env) -> None:
    mine = [
        await env.do(named_files.upload, ANNA, new=new_file(file, data), overwrite=False, now=NOW)
        for file, data in (
            (FileName(Folder.INPUT, "", "cat.png"), b"cat"),
            (FileName(Folder.OUTPUT, "day", "dog.png"), b"dog"),
            (FileName(Folder.INPUT, "", "by digest.png"), b"digest"),
            (FileName(Folder.INPUT, "", "by id.png"), b"id"),
            (FileName(Folder.INPUT, "", "unnamed.png"), b"unnamed"),
        )
    ]
    theirs = await env.do(
        named_files.upload, BEN, new=new_file(FileName(Folder.INPUT, "", "bird.png"), b"bird"), overwrite=False, now=NOW
    )
    digest, own_id = mine[2].digest, mine[3].id
    graph = {
        "nodes": [{"widgets_values": ["cat.png", f"blake3:{digest}", {"deep": [own_id]}, "../x.png", "bird.png"]}],
        "extra": {"a": "day/dog.png [output]", "b": theirs.id, "c": f"{theirs.digest}.png", "unnamed.png": 1},
    }
    saved = await save(env, content=graph)
    version = await env.read(workflow.latest, ANNA, workflow_id=saved.id)
    assert set(version.dependencies) == {found.id for found in mine[:4]}
    everything = [found.id for found in [*mine, theirs]]
    assert await env.read(workflow.assets_in_use, ANNA, asset_ids=everything) == set(version.dependencies)
    assert await env.read(workflow.assets_in_use, BEN, asset_ids=everything) == set()
    await env.do(workflow.add_version, ANNA, workflow_id=saved.id, base_version=1, content={}, now=NOW)
    assert (await env.read(workflow.latest, ANNA, workflow_id=saved.id)).dependencies == ()
    assert len(await env.read(workflow.assets_in_use, ANNA, asset_ids=everything)) == 4
    await env.do(workflow.remove, ANNA, workflow_id=saved.id, now=NOW)
    assert await env.read(workflow.assets_in_use, ANNA, asset_ids=everything) == set()


@pytest.mark.parametrize("name", ["x" * 256, "a\x00b", "a\nb"])
async def test_a_name_that_is_none(env: Env, name: str) -> None:
    with pytest.raises(Invalid):
        await save(env, name)
    with pytest.raises(Invalid):
        await save(env, description=f"{name}\x00" * 40)
    assert await names(env) == []


async def test_another_user_hears_of_nothing(env: Env) -> None:
    saved = await save(env)
    said: list[list[str]] = []
    for workflow_id in (saved.id, WorkflowId("there-is-none")):
        said.append([])
        for act in everything_with(BEN, workflow_id):
            with pytest.raises(SafelightError) as raised:
                await env.do(act)
            said[-1].append(f"{raised.value.code}: {raised.value.message}".replace(workflow_id, "ID"))
    assert said[0] == said[1]
    assert await env.read(workflow.get, ANNA, workflow_id=saved.id) == saved


def everything_with(who: Principal, workflow_id: WorkflowId) -> list[Any]:
    change: dict[str, Any] = {"name": "x", "description": None, "default_view": None}
    return [
        lambda tx: workflow.get(tx, who, workflow_id=workflow_id),
        lambda tx: workflow.latest(tx, who, workflow_id=workflow_id),
        lambda tx: workflow.change(tx, who, workflow_id=workflow_id, now=NOW, **change),
        lambda tx: workflow.add_version(tx, who, workflow_id=workflow_id, base_version=1, content={}, now=NOW),
        lambda tx: workflow.fork(tx, who, workflow_id=workflow_id, version=1, name=None, now=NOW),
        lambda tx: workflow.remove(tx, who, workflow_id=workflow_id, now=NOW),
    ]
