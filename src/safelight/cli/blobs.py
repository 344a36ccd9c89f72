"""``safelight blobs``: the bytes of an installation, from one place to another."""

import asyncio
from pathlib import Path

import click

from safelight import settings as sources
from safelight.blobs.copying import Copied, copy_all
from safelight.blobs.stores import BlobStoreConfig, open_store
from safelight.cli.console import err, out
from safelight.cli.database import database_options
from safelight.cli.maintenance import shown_size
from safelight.core.errors import Unavailable

STEPS = 1000
"""Blobs between two lines of progress."""


@click.group()
def blobs() -> None:
    """Move the stored files."""


@blobs.command()
@click.argument("source")
@click.argument("target")
@database_options
def copy(source: str, target: str, config: Path | None, data_dir: Path | None) -> None:
    """Copy all stored files from SOURCE to TARGET, checking the digest of each.

    Each is a folder (`data/blobs`), or the address of an object store (`s3://bucket/prefix`), which is reached as the
    settings say (`blob_endpoint`, keys ...). What TARGET has is passed over, so that the command may be run again:
    after it was cut off, and once more when the server has stopped. Exit 1 when a file of SOURCE is damaged.
    """
    begin, end = (_config_of(text, config=config, data_dir=data_dir) for text in (source, target))
    if not begin.url and not (begin.folder / "b3").is_dir():
        raise Unavailable(f"there are no stored files in {begin.folder.resolve()}")
    copied = asyncio.run(_copy(begin, end))
    for digest in copied.damaged:
        out.print(f"damaged  {digest}", markup=False, soft_wrap=True)
    counts = f"Copied {copied.blobs} blobs ({shown_size(copied.size)}); {copied.there} were there already"
    out.print(f"{counts}; {len(copied.damaged)} are damaged.")
    if copied.damaged:
        raise SystemExit(1)


async def _copy(source: BlobStoreConfig, target: BlobStoreConfig) -> Copied:
    begin, end = open_store(source), open_store(target)
    for store in (begin, end):
        if store.checkable is not None:
            await store.checkable.check()
    return await copy_all(begin.blobs, end.blobs, on_step=_show)


def _show(copied: Copied) -> None:
    done = copied.blobs + copied.there
    if done and done % STEPS == 0:
        err.print(f"{done} blobs, {shown_size(copied.size)} copied")


def _config_of(text: str, *, config: Path | None, data_dir: Path | None) -> BlobStoreConfig:
    if "://" not in text:
        return BlobStoreConfig(folder=Path(text))
    return sources.load(overrides={"data_dir": data_dir, "blob_store": text}, config=config).blobs
