"""Where model files are found, and how they are downloaded."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from safelight.core.model_folders import ExtraPlace
from safelight.settings.declare import Bytes, PositiveSeconds, doc
from safelight.settings.extra_model_paths import read_extra_model_paths
from safelight.settings.invalid_setting import InvalidSetting


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Models"""

    models_dir: Annotated[
        tuple[Path, ...],
        doc(
            "Roots of model folders (`checkpoints/`, `loras/` ...). The first one that has a file wins; the bundled "
            "models come last.",
            default="`<data_dir>/models`",
        ),
    ] = ()
    extra_model_paths: Annotated[
        str,
        doc(
            "A file like ComfyUI's `extra_model_paths.yaml`, with folders of models elsewhere: `base_path` (`~` is the "
            "home of the server's account), `is_default`, several lines for one folder. Its `custom_nodes` are not "
            "read: use the setting `custom_nodes`."
        ),
    ] = ""
    model_copies: Annotated[
        str,
        doc(
            "A folder on each worker machine's own disk, to which models are copied when they are first read, for "
            "model folders on a network: [ray.md](ray.md).",
            default="models are read where they are",
        ),
    ] = ""
    model_copies_bytes: Annotated[Bytes, doc("Disk space that these copies may use.")] = 200 * 1024**3
    download_timeout_s: Annotated[PositiveSeconds, doc("Longest time that downloading a file for a user may take.")] = (
        6 * 3600.0
    )
    huggingface_url: Annotated[
        str,
        doc(
            "Where files of huggingface.co are requested when an administrator imports models: for example a mirror "
            "in your network, which may have a private address."
        ),
    ] = "https://huggingface.co"
    huggingface_token: Annotated[str, doc("Sent to huggingface.co only, for gated files.")] = field(
        default="", repr=False
    )
    civitai_token: Annotated[str, doc("Sent to civitai.com only, for files that need an account.")] = field(
        default="", repr=False
    )


def read_places(path: Path) -> tuple[ExtraPlace, ...]:
    """The folders that a file of ``extra_model_paths`` names. Raises :class:`InvalidSetting` if it cannot be read."""
    try:
        return read_extra_model_paths(path)
    except OSError as error:
        raise InvalidSetting(f"extra_model_paths {str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InvalidSetting(f"extra_model_paths {str(path)!r}: {error}") from None
