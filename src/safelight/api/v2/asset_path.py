"""The path that a client gives an asset, such as ``sub/photo.png`` or ``models/checkpoints/x.safetensors``, and the
file name by which nodes find it."""

from safelight.core.asset import Asset, FileName, Folder, check_asset_name, clean_filename, clean_subfolder
from safelight.core.errors import InvalidName, Unprocessable

_MODELS = "models"


class InvalidPath(Unprocessable):
    code = "invalid_request"


def read_path(text: str) -> str:
    """The path without empty and dot segments. Raises :class:`InvalidPath` for one that leads outside."""
    try:
        folder, _, filename = text.replace("\\", "/").rpartition("/")
        subfolder = clean_subfolder(folder)
        path = f"{subfolder}/{clean_filename(filename)}" if subfolder else clean_filename(filename)
        check_asset_name(path)
    except InvalidName as error:
        raise InvalidPath(f"invalid file_path: {error.message}") from None
    return path


def file_of(path: str) -> FileName | None:
    """Where nodes find an asset with this path: among the inputs, unless it begins with another folder's name. A model
    has no file name."""
    first, slash, rest = path.partition("/")
    if slash and first == _MODELS:
        return None
    if slash and first in {folder.value for folder in Folder}:
        folder, path = Folder(first), rest
    else:
        folder = Folder.INPUT
    subfolder, _, filename = path.rpartition("/")
    return FileName(folder, subfolder, filename)


def tags_of(path: str) -> list[str]:
    """The tags that an asset with this path has in lists."""
    file = file_of(path)
    return [_MODELS] if file is None else [file.folder.value]


def path_of(asset: Asset) -> str:
    """The path that was given to the asset; for a file of a job or of the web UI, its folder and its name."""
    file = asset.file
    if file is None or "/" in asset.name:
        return asset.name
    folder = [] if file.folder is Folder.INPUT else [file.folder.value]
    return "/".join([*folder, *([file.subfolder] if file.subfolder else []), asset.name])
