"""Files by name: ComfyUI's rules for uploads, numbers of outputs, and names that cannot leave their folder."""

from functools import partial

import pytest
from tests.database import ANNA, BEN, NOW, Env, at
from tests.services.files import new_file
from tests.services.jobs import claim, complete, picture, submit

from safelight.blobs.hashing import hash_bytes
from safelight.core.asset import FileName, Folder
from safelight.core.errors import NotFound
from safelight.core.ids import AssetId
from safelight.core.job import Fence
from safelight.services import asset_access, named_files
from safelight.services import asset_library as library
from safelight.services import attempt as attempts

pytestmark = pytest.mark.anyio


def named(filename: str, subfolder: str = "", folder: Folder = Folder.INPUT) -> FileName:
    return FileName(folder, subfolder, filename)


async def upload(env: Env, name: str, data: bytes, *, overwrite: bool = False, subfolder: str = "") -> str:
    new = new_file(named(name, subfolder), data)
    asset = await env.do(named_files.upload, ANNA, new=new, overwrite=overwrite, now=NOW)
    assert asset.file is not None
    assert asset.digest == hash_bytes(data)
    assert await env.read(asset_access.by_file_name, ANNA, file=asset.file) == asset
    return asset.file.filename


async def test_the_same_name_and_the_same_bytes_are_the_same_file(env: Env) -> None:
    assert [await upload(env, "a.png", b"1") for _ in range(2)] == ["a.png", "a.png"]
    assert len(await env.read(named_files.list_files, ANNA, folder=Folder.INPUT)) == 1


async def test_the_same_name_and_other_bytes_get_a_number(env: Env) -> None:
    names = [await upload(env, "a.png", data) for data in (b"1", b"2", b"3", b"2", b"1")]
    assert names == ["a.png", "a (1).png", "a (2).png", "a (1).png", "a.png"]
    assert await upload(env, "a (1).png", b"9") == "a (1) (1).png"
    assert await upload(env, "a.png", b"4", subfolder="sub") == "a.png"


@pytest.mark.parametrize(
    ("name", "second"), [("plain", "plain (1)"), (".hidden", ".hidden (1)"), ("a.tar.gz", "a.tar (1).gz")]
)
async def test_the_number_stands_before_the_extension(env: Env, name: str, second: str) -> None:
    assert [await upload(env, name, data) for data in (b"1", b"2")] == [name, second]


async def test_overwrite_puts_other_bytes_under_the_name(env: Env) -> None:
    await upload(env, "a.png", b"1")
    assert await upload(env, "a.png", b"2", overwrite=True) == "a.png"
    assert [a.digest for a in await env.read(named_files.list_files, ANNA, folder=Folder.INPUT)] == [hash_bytes(b"2")]


async def test_owners_share_bytes_and_no_names(env: Env) -> None:
    for who in (ANNA, BEN):
        await env.do(named_files.upload, who, new=new_file(named("a.png"), b"1"), overwrite=False, now=NOW)
    mine = await env.read(asset_access.by_file_name, ANNA, file=named("a.png"))
    other = await env.read(asset_access.by_file_name, BEN, file=named("a.png"))
    assert mine.digest == other.digest
    assert mine.id != other.id


async def test_any_text_may_be_asked_for_files(env: Env) -> None:
    """Strings of a prompt that name files are found; all others are ignored."""
    await upload(env, "a.png", b"1")
    await upload(env, "b.png", b"2", subfolder="sub/deep")
    out = new_file(named("c.png", folder=Folder.OUTPUT), b"3")
    await env.do(named_files.upload, ANNA, new=out, overwrite=False, now=NOW)
    texts = ["a.png", "a.png [input]", "sub/deep/b.png", "c.png [output]", "c.png", "b.png", "A.PNG"]
    odd = ["", "/", "../a.png", "x" * 10_000, "a photo of\na cat", "\x00", "\ud83d", "C:/a.png", "sub//deep/./b.png"]
    found = await env.read(named_files.files_named, ANNA, names=texts + odd)
    digests = {name: asset.digest for name, asset in found.items()}
    assert digests == {
        "a.png": hash_bytes(b"1"),
        "a.png [input]": hash_bytes(b"1"),
        "sub/deep/b.png": hash_bytes(b"2"),
        "sub//deep/./b.png": hash_bytes(b"2"),
        "c.png [output]": hash_bytes(b"3"),
    }
    assert await env.read(named_files.files_named, BEN, names=texts) == {}


async def test_a_folder_lists_the_newest_first_and_its_subfolders_too(env: Env) -> None:
    await upload(env, "a.png", b"1")
    await upload(env, "b.png", b"2", subfolder="sub")
    await upload(env, "c.png", b"3")
    found = await env.read(named_files.list_files, ANNA, folder=Folder.INPUT)
    assert [str(asset.file) for asset in found] == ["c.png [input]", "sub/b.png [input]", "a.png [input]"]
    assert await env.read(named_files.list_files, ANNA, folder=Folder.INPUT, limit=1) == found[:1]
    assert await env.read(named_files.list_files, ANNA, folder=Folder.TEMP) == []


@pytest.mark.parametrize(
    ("prefix", "last"),
    [("out", 7), ("out_b", 3), ("ou", 0), ("out_00007", 0), ("%", 0), ("Out", 0), ("other", 12), ("pack", 43)],
)
async def test_numbers_go_on_after_the_highest(env: Env, prefix: str, last: int) -> None:
    names = ["out_00002_.png", "out_00007_.flac", "out_b_00003_.png", "out_x_.png", "other_12_.png", "out_9999.png"]
    names += ["pack_00042.mp4", "pack_00043-audio.mp4"]
    for name in names:
        new = new_file(named(name, folder=Folder.OUTPUT), name.encode())
        await env.do(named_files.upload, ANNA, new=new, overwrite=False, now=NOW)
    place = {"folder": Folder.OUTPUT, "prefix": prefix}
    assert await env.read(named_files.last_number, ANNA.user_id, subfolder="", **place) == last
    assert await env.read(named_files.last_number, ANNA.user_id, subfolder="sub", **place) == 0
    assert await env.read(named_files.last_number, BEN.user_id, subfolder="", **place) == 0


async def test_an_output_takes_a_name_that_an_upload_slipped_into(env: Env) -> None:
    """The job reserved the name, and its output refers to it: the upload stays, without a file name."""
    name = named("out_00001_.png", folder=Folder.OUTPUT)
    await submit(env, ANNA)
    fence = await claim(env, ANNA)
    await env.do(named_files.upload, ANNA, new=new_file(name, b"upload"), overwrite=False, now=NOW)
    await env.do(attempts.record_outputs, fence, outputs=[], files=[new_file(name, b"output")], now=at(1))
    await complete(env, fence)
    assert (await env.read(asset_access.by_file_name, ANNA, file=name)).digest == hash_bytes(b"output")


async def test_a_file_that_is_not_there(env: Env) -> None:
    with pytest.raises(NotFound, match=r"nope\.png \[input\]"):
        await env.read(asset_access.by_file_name, ANNA, file=named("nope.png"))


async def test_an_output_that_is_not_published_is_found_by_its_name_alone(env: Env) -> None:
    """Its owner can view it; it is found by id and digest after its job has ended, and never if the attempt was
    lost."""
    file, data = named("out_00001_.png", folder=Folder.OUTPUT), b"picture"
    for name in ("lost", "kept"):
        await submit(env, ANNA, job_id=name)

    async def record() -> tuple[Fence, AssetId]:
        fence = await claim(env, ANNA)
        outputs = [picture("out_00001_.png")]
        await env.do(attempts.record_outputs, fence, outputs=outputs, files=[new_file(file, data)], now=NOW)
        return fence, (await env.read(asset_access.by_file_name, ANNA, file=file)).id

    async def is_hidden(asset_id: AssetId) -> bool:
        digest = hash_bytes(data)
        for look in (
            partial(asset_access.by_id, asset_id=asset_id),
            partial(asset_access.by_digest, digest=digest, is_sha256=False),
            partial(library.is_referenced, asset_id=asset_id),
            partial(asset_access.by_file_name, file=named(f"{digest}.png", folder=Folder.OUTPUT)),
        ):
            try:
                found = await env.read(look, ANNA)
            except NotFound:
                continue
            if found:
                return False
        with pytest.raises(NotFound):
            await env.do(library.remove, ANNA, asset_id=asset_id)
        with pytest.raises(NotFound):
            await env.do(library.change, ANNA, asset_id=asset_id, change=library.Change(name="mine"), now=NOW)
        return True

    lost, asset_id = await record()
    assert await is_hidden(asset_id)
    await env.do(attempts.fail_attempt, lost, reason="gone", now=NOW)
    assert await is_hidden(asset_id)
    kept, asset_id = await record()
    assert await is_hidden(asset_id)
    await complete(env, kept, outputs=[])
    assert (await env.read(asset_access.by_id, ANNA, asset_id=asset_id)).file == file
    assert (await env.read(asset_access.by_digest, ANNA, digest=hash_bytes(data), is_sha256=False)).id == asset_id
    with pytest.raises(NotFound):
        await env.read(asset_access.by_id, BEN, asset_id=asset_id)
