"""Taking over what a user has made with a ComfyUI."""

import json
import os
from pathlib import Path

import pytest
from tests.database import ANNA, BEN, NOW, Env, at

from safelight.blobs.memory import MemoryBlobStore
from safelight.comfyui.saved_work import files_below, inputs, outputs, workflows
from safelight.core.asset import Folder
from safelight.core.paging import PageRequest
from safelight.services import named_files, saved_work, userdata
from safelight.services import workflow as workflow_service
from safelight.services.saved_work import TakenOver

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n"


def put(path: Path, data: bytes, *, changed_s: float = 0.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (changed_s, changed_s))


async def take_outputs(env: Env, blobs: MemoryBlobStore, root: Path) -> TakenOver:
    files = files_below(outputs(root))
    return await saved_work.take_files(env.db, blobs, ANNA, folder=Folder.OUTPUT, files=files)


async def test_files_become_assets_of_the_user_with_their_names_and_times(env: Env, tmp_path: Path) -> None:
    blobs = MemoryBlobStore()
    put(tmp_path / "output/a.png", PNG + b"a", changed_s=at(-100).timestamp())
    put(tmp_path / "output/day/b_00001_.png", PNG + b"b")
    put(tmp_path / "output/.hidden/c.png", PNG)
    put(tmp_path / "output/_output_images_will_be_put_here", b"")
    assert await take_outputs(env, blobs, tmp_path) == TakenOver(added=2)
    found = {str(a.file): a for a in await env.read(named_files.list_files, ANNA, folder=Folder.OUTPUT)}
    assert set(found) == {"a.png [output]", "day/b_00001_.png [output]"}
    asset = found["a.png [output]"]
    assert (asset.created_at, asset.mime_type) == (at(-100), "image/png")
    assert b"".join([chunk async for chunk in blobs.read(asset.digest)]) == PNG + b"a"
    assert await env.read(named_files.list_files, BEN, folder=Folder.OUTPUT) == []
    assert sorted(p.name for p in tmp_path.rglob("*.png")) == ["a.png", "b_00001_.png", "c.png"], "nothing is moved"


async def test_a_second_run_adds_only_what_is_new(env: Env, tmp_path: Path) -> None:
    blobs = MemoryBlobStore()
    put(tmp_path / "output/a.png", PNG + b"a")
    await take_outputs(env, blobs, tmp_path)
    put(tmp_path / "output/b.png", PNG + b"b")
    assert await take_outputs(env, blobs, tmp_path) == TakenOver(added=1, known=1)
    put(tmp_path / "output/a.png", PNG + b"changed")
    assert await take_outputs(env, blobs, tmp_path) == TakenOver(added=1, known=1)
    assert await take_outputs(env, blobs, tmp_path) == TakenOver(known=2)
    names = {a.name for a in await env.read(named_files.list_files, ANNA, folder=Folder.OUTPUT)}
    assert names == {"a.png", "a (1).png", "b.png"}


async def test_a_name_that_no_asset_may_have_is_left_out_and_named(env: Env, tmp_path: Path) -> None:
    put(tmp_path / "input/bell\a.png", PNG)
    put(tmp_path / "input/a.png", PNG)
    files = files_below(inputs(tmp_path))
    taken = await saved_work.take_files(env.db, MemoryBlobStore(), ANNA, folder=Folder.INPUT, files=files)
    assert (taken.added, list(taken.left_out)) == (1, ["bell\a.png"])
    assert "is not a file name" in taken.left_out["bell\a.png"]


async def test_saved_workflows_become_workflows_that_the_web_ui_lists(env: Env, tmp_path: Path) -> None:
    folder = workflows(tmp_path)
    graph = {"nodes": [{"id": 1, "type": "LoadImage", "widgets_values": ["a.png"]}], "links": []}
    put(folder / "one.json", json.dumps(graph).encode())
    put(folder / "sub/two.json", b'{"nodes": []}')
    put(folder / "broken.json", b"{")

    async def take() -> TakenOver:
        files = files_below(folder, suffix=".json")
        return await saved_work.take_workflows(env.db, ANNA, files=files, now=NOW)

    taken = await take()
    assert (taken.added, taken.known) == (2, 0)
    assert taken.left_out == {"broken.json": "The file is not a workflow: it is not JSON"}
    listed = await env.read(userdata.list, ANNA, directory="workflows", recurse=True)
    assert [file.path for file in listed] == ["one.json", "sub/two.json"]
    page = await env.read(workflow_service.list, ANNA, page=PageRequest(10))
    assert sorted(workflow.name or "" for workflow in page.items) == ["one", "two"]
    assert (await take()).known == 2

    put(folder / "one.json", b'{"nodes": [], "version": 2}')
    assert ((await take()).added, (await take()).added) == (1, 0)
    listed = await env.read(userdata.list, ANNA, directory="workflows", recurse=False)
    assert [file.path for file in listed] == ["one (1).json", "one.json"]
