"""``safelight blobs``: copy the stored files of an installation from one store to another."""

import asyncio
from pathlib import Path

import click

from safelight import settings as sources
from safelight.blobs.copying import CopyProgress, copy_all
from safelight.blobs.stores import BlobStoreConfig, open_store
from safelight.cli.console import err, out
from safelight.cli.database import database_options
from safelight.cli.maintenance import size_text
from safelight.core.errors import Unavailable

REPORT_EVERY = 1000
"""Blobs between two lines of progress."""


@click.group()
def blobs() -> None:
    """Copy stored files between stores."""


@blobs.command()
@click.argument("source")
@click.argument("target")
@database_options
def copy(source: str, target: str, config: Path | None, data_dir: Path | None) -> None:
    """Copy all stored files from SOURCE to TARGET, checking the digest of each.

    Each is a folder (`data/blobs`) or the URL of an object store (`s3://bucket/prefix`), which is reached with the
    endpoint and the keys of the settings (`blob_endpoint`, ...). Files that TARGET already has are skipped, so the
    command may be run again: after an interruption, and a last time once the server has stopped. Exits with 1 if a
    file of SOURCE is damaged.
    """
    from_store, to_store = (_config_of(text, config=config, data_dir=data_dir) for text in (source, target))
    if not from_store.url and not (from_store.folder / "b3").is_dir():
        raise Unavailable(f"there are no stored files in {from_store.folder.resolve()}")
    copied = asyncio.run(_copy(from_store, to_store))
    for digest in copied.damaged:
        out.print(f"damaged  {digest}", markup=False, soft_wrap=True)
    counts = f"Copied {copied.blobs} blobs ({size_text(copied.size)}); {copied.skipped} were there already"
    out.print(f"{counts}; {len(copied.damaged)} are damaged.")
    if copied.damaged:
        raise SystemExit(1)


async def _copy(source: BlobStoreConfig, target: BlobStoreConfig) -> CopyProgress:
    from_store, to_store = open_store(source), open_store(target)
    for store in (from_store, to_store):
        if store.checkable is not None:
            await store.checkable.check()
    return await copy_all(from_store.blobs, to_store.blobs, on_progress=_report)


def _report(progress: CopyProgress) -> None:
    done = progress.blobs + progress.skipped
    if done and done % REPORT_EVERY == 0:
        err.print(f"{done} blobs, {size_text(progress.size)} copied")


def _config_of(text: str, *, config: Path | None, data_dir: Path | None) -> BlobStoreConfig:
    if "://" not in text:
        return BlobStoreConfig(folder=Path(text))
    return sources.load(overrides={"data_dir": data_dir, "blob_store": text}, config=config).blobs
