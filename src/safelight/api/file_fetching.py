"""What fetches files from other servers for users and administrators, made from the settings."""

from collections.abc import Sequence
from typing import Any

from safelight.blobs.store import BlobStore
from safelight.core.clock import Clock
from safelight.db.engine import Database
from safelight.services.download import Downloads
from safelight.services.egress import Egress, MirrorEgress
from safelight.services.model import ModelFiles
from safelight.services.model_import import HUGGINGFACE, ModelImports
from safelight.services.model_site import Civitai, HuggingFace, ModelSite
from safelight.settings import Settings

_LARGEST_MODEL = 1 << 40


def create_downloads(
    settings: Settings,
    *,
    db: Database,
    blobs: BlobStore,
    clock: Clock,
    models: ModelFiles,
    egress: Egress | None,
    sites: Sequence[ModelSite] | None,
) -> tuple[Downloads, ModelImports]:
    """``egress`` and ``sites``: others than those of the settings, for tests."""
    chosen = settings.models
    civitai = Civitai(chosen.civitai_token)
    # A mirror does not get the token that is for huggingface.co.
    token = chosen.huggingface_token if chosen.huggingface_url == HUGGINGFACE else ""
    shared: dict[str, Any] = {
        "db": db,
        "blobs": blobs,
        "clock": clock,
        "folder": settings.server.data_dir / "downloads",
        "timeout_s": chosen.download_timeout_s,
    }
    downloads = Downloads(
        **shared,
        max_bytes=settings.limits.max_asset_bytes,
        egress=egress or Egress(),
        sites=sites if sites is not None else (HuggingFace(chosen.huggingface_token), civitai),
    )
    imports = ModelImports(
        **shared,
        max_bytes=_LARGEST_MODEL,
        egress=egress or MirrorEgress(chosen.huggingface_url),
        sites=sites if sites is not None else (HuggingFace(token, chosen.huggingface_url), civitai),
        models=models,
        root=settings.model_roots[0].resolve(),
        mirror=chosen.huggingface_url,
    )
    return downloads, imports
